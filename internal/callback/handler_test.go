package callback

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/slogtest"
	"testing/synctest"
)

// A gate is a slog.Handler that keeps the records that it gets while it is open.
type gate struct {
	slog.Handler
	open    chan struct{}
	enabled func(slog.Level) bool
	records []slog.Record
}

func newGate() *gate {
	return &gate{open: make(chan struct{}), enabled: func(slog.Level) bool { return true }}
}

func (g *gate) Enabled(_ context.Context, level slog.Level) bool {
	<-g.open
	return g.enabled(level)
}

func (g *gate) Handle(_ context.Context, r slog.Record) error {
	g.records = append(g.records, r)
	return nil
}

// lines returns the records as text, without time.
func (g *gate) lines() string {
	var all []string
	for _, r := range g.records {
		line := r.Level.String() + " " + r.Message
		r.Attrs(func(a slog.Attr) bool {
			line += " " + a.String()
			return true
		})
		all = append(all, line)
	}
	return strings.Join(all, "\n")
}

// A Handler is all that a slog.Handler has to be.
func TestHandlerIsASlogHandler(t *testing.T) {
	var out bytes.Buffer
	h := NewHandler(slog.NewJSONHandler(&out, nil), slog.LevelInfo, 100)
	err := slogtest.TestHandler(h, func() []map[string]any {
		h.WaitContext(t.Context())
		var all []map[string]any
		for line := range strings.Lines(out.String()) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	})
	if err != nil {
		t.Error(err)
	}
}

// While the next handler blocks, nobody waits for it, and no more than the limit waits. The first
// record after those that are dropped says how many they were, and only that one.
func TestHandlerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		h := NewHandler(g, slog.LevelInfo, 2)
		log := slog.New(h)
		log.Info("runs")
		synctest.Wait() // it has begun and blocks, so it does not wait any more
		log.Info("waits", "n", 1)
		log.Info("waits", "n", 2)
		for range 3 {
			log.Info("dropped")
		}
		if err := h.WaitContext(ended()); err != context.Canceled {
			t.Errorf("WaitContext = %v while a line waits", err)
		}
		close(g.open)
		synctest.Wait()
		log.Info("next", "n", 4)
		log.Info("last")
		if err := h.WaitContext(t.Context()); err != nil {
			t.Error(err)
		}
		const want = "INFO runs\nINFO waits n=1\nINFO waits n=2\nINFO next n=4 lines_dropped=3\nINFO last"
		if got := g.lines(); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	})
}

// What is below the least level is not passed on, nor is what the next handler does not want. That
// one is asked as a callback, and not before.
func TestHandlerLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.enabled = func(level slog.Level) bool {
			if !Inside() {
				t.Error("not inside a callback")
			}
			return level != slog.LevelWarn
		}
		h := NewHandler(g, slog.LevelInfo, 10)
		log := slog.New(h)
		for _, level := range []slog.Level{slog.LevelInfo - 1, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			log.Log(t.Context(), level, "line")
		}
		close(g.open)
		synctest.Wait()
		if got, want := g.lines(), "INFO line\nERROR line"; got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	})
}

// A handler that ends its goroutine does not keep the next records from itself.
func TestHandlerGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		close(g.open)
		exit := true
		g.enabled = func(slog.Level) bool {
			if exit {
				exit = false
				runtime.Goexit()
			}
			return true
		}
		log := slog.New(NewHandler(g, slog.LevelInfo, 10))
		log.Info("one")
		log.Info("two")
		synctest.Wait()
		if got := g.lines(); got != "INFO two" {
			t.Errorf("%s\nwant the second line", got)
		}
	})
}

// The record is that of the call: its place, and its attributes, which the caller may change
// afterwards.
func TestHandlerKeepsTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		h := NewHandler(g, slog.LevelInfo, 10)
		slog.New(h).Info("here")
		r := slog.Record{Message: "many"}
		for i := range 8 { // more than a record holds by itself, so copies share them
			r.Add("n", i)
		}
		h.lines.dropped = 1
		h.Handle(t.Context(), r) // which adds lines_dropped to its own
		r.Add("n", "of the caller")
		close(g.open)
		synctest.Wait()
		frame, _ := runtime.CallersFrames([]uintptr{g.records[0].PC}).Next()
		if !strings.HasSuffix(frame.File, "handler_test.go") {
			t.Errorf("the place is %s:%d", frame.File, frame.Line)
		}
		if got := g.lines(); !strings.HasSuffix(got, " n=6 n=7 lines_dropped=1") {
			t.Errorf("the records are\n%s", got)
		}
	})
}

// What With makes shares the queue.
func TestHandlerWithSharesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := newGate()
		h := NewHandler(withGate{block}, slog.LevelWarn, 2)
		log := slog.New(h)
		log.Warn("runs")
		synctest.Wait()
		log.With("a", 1).Info("not this")
		log.With("a", 1).Warn("waits")
		log.WithGroup("g").Info("nor this")
		log.WithGroup("g").Warn("waits, too")
		log.With("a", 1).Warn("dropped")
		log.WithGroup("g").Warn("dropped")
		close(block.open)
		synctest.Wait()
		if got, want := block.lines(), "WARN runs\nWARN waits\nWARN waits, too"; got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	})
}

// A withGate is a gate that ignores attributes and groups.
type withGate struct{ *gate }

func (g withGate) WithAttrs([]slog.Attr) slog.Handler { return g }
func (g withGate) WithGroup(string) slog.Handler      { return g }
