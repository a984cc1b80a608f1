package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The measures of the chart, in pixels.
const (
	chartWidth  = 860
	panelWidth  = chartWidth / 2
	labelWidth  = 94  // the names of the libraries
	barWidth    = 260 // the longest bar
	barHeight   = 9
	barStep     = 13
	titleHeight = 20 // of a group of bars
	groupGap    = 10
)

// chart draws the throughput relative to coder, one column a transport, and
// below it what idle clients cost, as SVG. The greys and the blue are legible on
// light and on dark ground; where the viewer tells which it is, the text adapts.
func (r *report) chart() string {
	var b strings.Builder
	bottom := 0
	for i, transport := range transports {
		x, y := i*panelWidth, 16
		heading(&b, x, y, "Messages a second over "+transport, "coder/websocket by hand = 1; more is better")
		y += 32
		for _, t := range throughputs {
			scenario := transport + ", " + t.name
			var bars []bar
			for _, lib := range t.libs {
				ratio := quantile(r.ratios(scenario, lib.name, coder, rate), 0.5)
				if lib.name == floor.name || math.IsNaN(ratio) {
					continue
				}
				bars = append(bars, bar{lib.name, ratio, fmt.Sprintf("%.2f", ratio)})
			}
			y = group(&b, x, y, t.name, bars)
		}
		bottom = max(bottom, y)
	}

	bottom += 18
	heading(&b, 0, bottom, "Memory of an idle client", "heap and stack; less is better")
	heading(&b, panelWidth, bottom, "CPU of an hour of keepalives", "all clients together; less is better")
	bottom += 32
	for _, scenario := range r.scenarios(memory) {
		var kilobytes, seconds []bar
		for _, lib := range libraries {
			if !slices.Contains(r.libraries(scenario), lib.name) {
				continue
			}
			kb, s := r.median(scenario, lib.name, memory)/1e3, r.median(scenario, lib.name, keepaliveCPU)
			kilobytes = append(kilobytes, bar{lib.name, kb, fmt.Sprintf("%.1f KB", kb)})
			seconds = append(seconds, bar{lib.name, s, fmt.Sprintf("%.1f s", s)})
		}
		group(&b, 0, bottom, scenario, kilobytes)
		bottom = group(&b, panelWidth, bottom, scenario, seconds)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="11">
<title>apigws and other WebSocket clients for Go</title>
<style>
text { fill: #6e7781 }
.strong { font-weight: 600 }
rect { fill: #a8b0b9 }
.ours { fill: #2f81f7 }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1 }
.strong { fill: #d1d7e0 }
rect { fill: #656c76 }
.ours { fill: #4493f8 }
}
</style>
%s</svg>
`, chartWidth, bottom, b.String())
}

func heading(b *strings.Builder, x, y int, title, subtitle string) {
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" class=\"strong\" font-size=\"14\">%s</text>\n", x, y, title)
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s</text>\n", x, y+15, subtitle)
}

// A bar is one line of a group.
type bar struct {
	name  string
	value float64
	label string
}

// group draws bars under a title, the longest at full width, and returns where
// the next group may begin.
func group(b *strings.Builder, x, y int, title string, bars []bar) int {
	longest := 0.0
	for _, bar := range bars {
		longest = max(longest, bar.value)
	}
	y += titleHeight
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" class=\"strong\">%s</text>\n", x, y-7, title)
	for _, bar := range bars {
		class := ""
		if strings.HasPrefix(bar.name, ours) {
			class = ` class="ours"`
		}
		width := 0.0
		if longest > 0 {
			width = bar.value / longest * barWidth
		}
		base := y + barHeight
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s</text>", x, base, bar.name)
		fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"1.5\"%s/>", x+labelWidth, y, width, barHeight, class)
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", float64(x+labelWidth)+width+5, base, bar.label)
		y += barStep
	}
	return y + groupGap
}
