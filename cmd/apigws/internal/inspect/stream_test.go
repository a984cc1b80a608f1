package inspect

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws/gatewaytest"
)

// A flow collects the messages of a stream.
type flow struct {
	mu     sync.Mutex
	text   string
	header http.Header
	status int
}

func (f *flow) Header() http.Header { return f.header }
func (f *flow) WriteHeader(s int)   { f.status = s }
func (f *flow) Flush()              {}
func (f *flow) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text += string(b)
	return len(b), nil
}

// take returns the messages that have come since it was called last.
func (f *flow) take(t *testing.T) []batch {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []batch
	for part := range strings.SplitSeq(strings.TrimSuffix(f.text, "\n\n"), "\n\n") {
		var b batch
		data, ok := strings.CutPrefix(part, "data: ")
		if part == "" {
			continue
		}
		if err := json.Unmarshal([]byte(data), &b); !ok || err != nil {
			t.Fatalf("%q: %v", part, err)
		}
		all = append(all, b)
	}
	f.text = ""
	return all
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := gatewaytest.NewInMemory(nil)
		defer gateway.Close()
		i := &Inspector{gateway: gateway, recorder: NewRecorder()}
		id := connect(i.recorder, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := &flow{header: http.Header{}}
		go i.stream(f, httptest.NewRequestWithContext(ctx, "GET", "/api/stream", nil))
		one := func() batch {
			t.Helper()
			synctest.Wait()
			all := f.take(t)
			if len(all) != 1 {
				t.Fatalf("%d messages", len(all))
			}
			return all[0]
		}

		if b := one(); len(b.Connections) != 1 || len(b.Events) != 1 || b.State.Counts.Open != 1 {
			t.Errorf("first: %+v", b)
		}
		// A thousand events are one message, with the last of them.
		for range 1000 {
			i.recorder.Record(Event{Kind: Message, Conn: id, Data: []byte("x")})
		}
		time.Sleep(streamTick)
		if b := one(); len(b.Connections) != 1 || len(b.Events) != streamEvents || b.Missing != 1000-streamEvents {
			t.Errorf("after many: %d connections, %d events, %d missing", len(b.Connections), len(b.Events), b.Missing)
		}
		// Without events there is a message a second, so that the reader sees that all is well.
		time.Sleep(streamBeat - time.Nanosecond)
		synctest.Wait()
		if all := f.take(t); len(all) != 0 {
			t.Errorf("in silence: %+v", all)
		}
		time.Sleep(time.Nanosecond)
		if b := one(); len(b.Connections) != 0 || len(b.Events) != 0 || b.State == nil {
			t.Errorf("after a second of silence: %+v", b)
		}
		cancel()
		synctest.Wait()
		if n := i.streams.Load(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}

func TestTooManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := gatewaytest.NewInMemory(nil)
		defer gateway.Close()
		i := &Inspector{gateway: gateway, recorder: NewRecorder()}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range mostStreams {
			go i.stream(&flow{header: http.Header{}}, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		}
		synctest.Wait()
		last := &flow{header: http.Header{}}
		i.stream(last, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		if last.status != http.StatusTooManyRequests {
			t.Errorf("status %d", last.status)
		}
	})
}

// Close does not wait for a reader of the stream.
func TestCloseEndsStreams(t *testing.T) {
	f := start(t)
	resp, err := http.Get(f.inspector.URL + "api/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	f.inspector.Close()
	if n := f.inspector.streams.Load(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
}
