package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/apigws/apigws"
)

// show tells how the subjects fare until ctx ends: a line for each, redrawn in
// place, or, where there is no terminal, a line for what happens.
func (p *probe) show(ctx context.Context, subjects []*subject, out io.Writer) {
	if isTerminal(out) {
		p.redraw(ctx, subjects, out)
		return
	}
	begun := time.Now()
	ticker := time.NewTicker(p.real(p.watch) / 10)
	defer ticker.Stop()
	told := make(map[*subject]bool)
	for {
		open := 0
		for _, s := range subjects {
			o := p.snapshot(s)
			switch {
			case o.cut == nil:
				open++
			case !told[s]:
				told[s] = true
				fmt.Fprintf(out, "%s: %s\n", o.name, o.state())
			}
		}
		fmt.Fprintf(out, "%s of %s, %d of %d open\n",
			short(p.virtual(time.Since(begun)).Round(time.Second)), short(p.watch), open, len(subjects))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *probe) redraw(ctx context.Context, subjects []*subject, out io.Writer) {
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for last := false; ; {
		var lines strings.Builder
		for _, s := range subjects {
			o := p.snapshot(s)
			const width = 30
			filled := int(min(width, width*o.lived/p.watch))
			end := "·"
			if o.cut != nil {
				end = "x"
			}
			bar := strings.Repeat("=", filled) + end + strings.Repeat(" ", width-filled)
			fmt.Fprintf(&lines, "\x1b[2K%-26s %s %s\n", o.name, bar, o.state())
		}
		io.WriteString(out, lines.String())
		if last {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			last = true // once more, with the end
		}
		fmt.Fprintf(out, "\x1b[%dA", len(subjects))
	}
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// state says in a few words how the subject fares.
func (o *outcome) state() string {
	if o.cut == nil {
		return "open after " + short(o.lived)
	}
	return "cut after " + short(o.lived) + ": " + cause(o.cut)
}

// cause names a close code and its reason, or what else ended a connection.
func cause(err error) string {
	var closed *apigws.CloseError
	if errors.As(err, &closed) {
		return fmt.Sprintf("%d %q", closed.Code, closed.Reason)
	}
	return "1006, no close frame"
}
