package main

import (
	"fmt"
	"strings"
)

// chart draws the throughput as bars, relative to coder/websocket by hand. The
// colours are legible on light and on dark ground.
func (r *report) chart() string {
	const (
		left, width, bar, gap = 210, 430, 14, 16
	)
	colours := map[string]string{"apigws": "#2f81f7", "coder": "#8b949e", "nhooyr": "#b58a5a", "gorilla": "#6e7f5c", "gws": "#a371a8"}
	most := 1.0
	for _, row := range r.rows {
		for _, lib := range libraries {
			most = max(most, row.medians[lib.name]/row.medians["coder"])
		}
	}
	var b strings.Builder
	y := 44
	for _, row := range r.rows {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" font-weight="600">%s</text>`+"\n", left-12, y+bar*len(libraries)/2+4, row.name)
		for _, lib := range libraries {
			ratio := row.medians[lib.name] / row.medians["coder"]
			w := ratio / most * width
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`+"\n", left, y, w, bar-2, colours[lib.name])
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" font-size="10">%.2f</text>`+"\n", float64(left)+w+5, y+bar-4, ratio)
			y += bar
		}
		y += gap
	}
	var legend strings.Builder
	x := left
	for _, lib := range libraries {
		fmt.Fprintf(&legend, `<rect x="%d" y="14" width="12" height="12" rx="2" fill="%s"/><text x="%d" y="24">%s</text>`+"\n", x, colours[lib.name], x+17, lib.name)
		x += 86
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">
<style>text{fill:#57606a}@media(prefers-color-scheme:dark){text{fill:#adbac7}}</style>
<title>Messages a second, relative to coder/websocket used by hand</title>
%s%s</svg>
`, left+width+60, y, legend.String(), b.String())
}
