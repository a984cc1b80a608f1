package apigws_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/internal/clienttest"
)

// A peerFlood is what a hostile peer sends, as fast as it is taken.
type peerFlood struct {
	name   string
	head   []byte // once
	frames []byte // again and again
}

func floods() []peerFlood {
	text := func(n int) []byte {
		head := []byte{0x81, 127}
		return append(binary.BigEndian.AppendUint64(head, uint64(n)), bytes.Repeat([]byte("x"), n)...)
	}
	small := bytes.Repeat([]byte("x"), 100)
	errorFrame := `{"message":"` + strings.Repeat("m", 60) + `","connectionId":"a","requestId":"b"}`
	return []peerFlood{
		{"empty messages", nil, bytes.Repeat([]byte{0x81, 0}, 1<<10)},
		{"of 100 bytes", nil, bytes.Repeat(append([]byte{0x81, 100}, small...), 1<<10)},
		{"of 128 KiB", nil, text(128 << 10)},
		{"of 16 MiB", nil, text(16 << 20)},
		{"a message without end", append([]byte{0x01, 100}, small...), bytes.Repeat(append([]byte{0x00, 100}, small...), 1<<10)},
		{"error frames", nil, bytes.Repeat(append([]byte{0x81, byte(len(errorFrame))}, errorFrame...), 1<<10)},
		{"PINGs", nil, bytes.Repeat(append([]byte{0x89, 100}, small...), 1<<10)},
	}
}

// What a hostile peer can make a client hold, in each state, is bounded. SECURITY.md has the table;
// -v prints it.
func TestHostilePeerHoldsBoundedMemory(t *testing.T) {
	const resend, mib = 1 << 10, 1 << 20
	none := func(context.Context, *apigws.Conn) error { return nil }
	states := []struct {
		name      string
		opts      apigws.Options
		most      int64                                       // bytes
		stuck     bool                                        // the peer takes nothing
		onConnect func(context.Context, *apigws.Conn) error   // runs on connection number attacked, under attack
		attacked  int                                         // 0: the first, when it is open
		call      func(ctx context.Context, c *apigws.Client) // under attack
	}{
		{name: "open, nobody reads", most: mib},
		{name: "open, nobody reads, and the peer takes nothing", most: mib, stuck: true,
			call: func(ctx context.Context, c *apigws.Client) { c.Write(ctx, []byte("x")) }},
		{name: "OnGatewayError does not return", most: mib,
			opts: apigws.Options{OnGatewayError: func(c *apigws.Client, _ *apigws.GatewayError) { <-c.Done() }}},
		{name: "a Flush waits", most: 5 * mib, call: func(ctx context.Context, c *apigws.Client) {
			c.Write(ctx, []byte("x"))
			c.Flush(ctx)
		}},
		{name: "a Write waits for the window of Resend", most: 5 * mib, opts: apigws.Options{Resend: resend},
			call: func(ctx context.Context, c *apigws.Client) {
				c.Write(ctx, make([]byte, resend))
				c.Write(ctx, []byte("x"))
			}},
		{name: "OnConnect reads nothing", most: mib, attacked: 1,
			onConnect: func(ctx context.Context, _ *apigws.Conn) error { <-ctx.Done(); return ctx.Err() }},
		{name: "OnConnect in ReadMatch", most: 5 * mib, attacked: 1,
			onConnect: func(ctx context.Context, conn *apigws.Conn) error {
				_, err := conn.ReadMatch(ctx, func([]byte) bool { return false })
				return err
			}},
		{name: "Dial with Resend", most: 5 * mib, attacked: 1, opts: apigws.Options{Resend: resend}, onConnect: none},
		{name: "Rotate with Resend", most: 10 * mib, attacked: 2, opts: apigws.Options{Resend: resend}, onConnect: none,
			call: func(ctx context.Context, c *apigws.Client) { c.Rotate(ctx) }},
	}
	for _, state := range states {
		var held []string
		for _, flood := range floods() {
			synctest.Test(t, func(t *testing.T) {
				before := heap()
				peer := newRawPeer()
				peer.flood = flood
				opts := state.opts
				opts.HTTPClient = &http.Client{Transport: peer}
				opts.OnConnect = func(ctx context.Context, conn *apigws.Conn) error {
					if conn.Generation() < state.attacked || state.attacked == 0 {
						return nil
					}
					peer.attack(state.stuck)
					return state.onConnect(ctx, conn)
				}
				c, err := apigws.New("wss://hostile.example", &opts)
				if err != nil {
					t.Fatal(err)
				}
				clienttest.Sleep(time.Second)
				if state.attacked == 0 {
					clienttest.InState(t, c, apigws.StateOpen)
					peer.attack(state.stuck)
				}
				var calls sync.WaitGroup
				if state.call != nil {
					calls.Go(func() { state.call(t.Context(), c) })
				}
				clienttest.Sleep(5 * time.Second)
				got := heap() - before
				held = append(held, fmt.Sprintf("%s %.1f", flood.name, float64(got)/mib))
				if got > state.most {
					t.Errorf("%s, %s: the client holds %.1f MiB, want at most %d", state.name, flood.name, float64(got)/mib, state.most/mib)
				}
				c.Close()
				calls.Wait()
			})
		}
		t.Logf("%s (MiB, at most %d): %s", state.name, state.most/mib, strings.Join(held, ", "))
	}
}

// heap returns how much memory is in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
