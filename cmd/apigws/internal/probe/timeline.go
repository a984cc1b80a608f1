package probe

import (
	"fmt"
	"html"
	"strings"
	"time"
)

// Measures of the picture, in pixels.
const (
	pictureWidth = 900
	laneTop      = 56 // of the first lane
	laneHeight   = 58
	left, right  = 196, 872 // of the time axis
)

// style has the colours for light and for dark surroundings. The picture
// brings its own background, for the two do not always agree: a page may be
// dark where the system is light.
const style = `
  .card { fill: #ffffff; stroke: #d1d9e0 }
  text { fill: #1f2328; font: 13px system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif }
  .title { font-weight: 600; font-size: 15px }
  .soft { fill: #59636e; font-size: 12px }
  .state { stroke: #ffffff; stroke-width: 4; paint-order: stroke }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .track { fill: #eff2f5 }
  .bar { fill: #2f81d8 }
  .held { fill: #2a9d5c }
  .ping { stroke: #ffffff; stroke-width: 2 }
  .lost { stroke-dasharray: 3 3 }
  .message { fill: #ffffff }
  .cut { stroke: #cf222e; stroke-width: 3; stroke-linecap: round }
  .halo { stroke: #ffffff; stroke-width: 7; stroke-linecap: round }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d }
    text { fill: #f0f6fc }
    .soft { fill: #9198a1 }
    .grid { stroke: #3d444d }
    .track { fill: #1c2128 }
    .bar { fill: #3f8fe4 }
    .held { fill: #2ea868 }
    .ping, .halo, .state { stroke: #0d1117 }
    .message { fill: #0d1117 }
    .cut { stroke: #ff6a69 }
  }
`

// timeline draws a lane for each subject, as an SVG.
func (r *report) timeline() string {
	lanes := r.outcomes()
	bottom := laneTop + laneHeight*len(lanes)
	height := bottom + 62
	x := func(t time.Duration) float64 {
		return left + float64(right-left)*float64(min(t, r.watch))/float64(r.watch)
	}

	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`,
		pictureWidth, height, pictureWidth, height)
	put(`<title>Who was cut when</title>`)
	put(`<style>%s</style>`, style)
	put(`<rect class="card" x="0.5" y="0.5" width="%d" height="%d" rx="8"/>`, pictureWidth-1, height-1)
	put(`<text class="title" x="20" y="31">Who was cut when</text>`)
	put(`<text class="soft" x="%d" y="31" text-anchor="end">%s</text>`, right, html.EscapeString(r.target))

	step := axisStep(r.watch)
	for t := time.Duration(0); t <= r.watch; t += step {
		put(`<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, x(t), laneTop-6, x(t), bottom)
		put(`<text class="soft" x="%.1f" y="%d" text-anchor="middle">%s</text>`, x(t), bottom+17, short(t))
	}
	for i, o := range lanes {
		y := laneTop + laneHeight*i + 22 // top of the bar
		class := "held"
		if o.cut != nil {
			class = "bar"
		}
		put(`<text x="20" y="%d">%s</text>`, y+14, html.EscapeString(o.name))
		put(`<rect class="track" x="%d" y="%d" width="%d" height="20" rx="4"/>`, left, y, right-left)
		put(`<rect class="%s" x="%d" y="%d" width="%.1f" height="20" rx="4"/>`, class, left, y, max(x(o.lived)-left, 2))
		for _, bt := range o.sent {
			switch at := x(bt.at); {
			case !bt.ping:
				// One at the very beginning would stick out.
				put(`<circle class="message" cx="%.1f" cy="%d" r="4"/>`, max(at, left+6), y+10)
			case bt.rtt > 0:
				put(`<line class="ping" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, at, y+3, at, y+17)
			default:
				put(`<line class="ping lost" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, at, y+3, at, y+17)
			}
		}
		// What became of it stands above the end of the bar, on the side where
		// there is room.
		at, anchor := x(o.lived), "start"
		if at > (left+right)/2 {
			anchor = "end"
		}
		put(`<text class="soft state" x="%.1f" y="%d" text-anchor="%s">%s</text>`, at, y-6, anchor, html.EscapeString(o.state()))
		if o.cut != nil {
			for _, class := range []string{"halo", "cut"} {
				put(`<path class="%s" d="M%.1f %d l10 10 m0 -10 l-10 10"/>`, class, at-5, y+5)
			}
		}
	}

	// The legend explains what lanes show on a piece of bar.
	y := bottom + 32
	for i, l := range []struct{ mark, text string }{
		{`<line class="ping" x1="12" y1="2" x2="12" y2="14"/>`, "PING, answered"},
		{`<line class="ping lost" x1="12" y1="2" x2="12" y2="14"/>`, "PING, no PONG"},
		{`<circle class="message" cx="12" cy="8" r="4"/>`, "message"},
		{`<path class="halo" d="M7 3 l10 10 m0 -10 l-10 10"/><path class="cut" d="M7 3 l10 10 m0 -10 l-10 10"/>`, "cut"},
	} {
		put(`<g transform="translate(%d %d)"><rect class="bar" width="24" height="16" rx="4"/>%s<text class="soft" x="32" y="12">%s</text></g>`,
			left+150*i, y, l.mark, l.text)
	}
	put(`</svg>`)
	return b.String()
}

// axisStep returns a round time that divides the axis into no more than 16.
func axisStep(watch time.Duration) time.Duration {
	for _, step := range []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour,
	} {
		if watch/step <= 16 {
			return step
		}
	}
	return watch / 8
}
