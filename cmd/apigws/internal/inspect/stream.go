package inspect

import (
	"encoding/json"
	"net/http"
	"time"
)

const (
	streamTick   = 250 * time.Millisecond // between two messages, when something happens
	streamBeat   = time.Second            // when nothing does
	streamEvents = 500                    // most in one message; the others are counted as missing
	mostStreams  = 20
	streamStall  = 10 * time.Second // how long a reader may leave a message unread
)

// A batch is one message of the stream.
type batch struct {
	State       *State  `json:"state,omitempty"`
	Connections []Conn  `json:"connections,omitempty"` // all at first, then those that have changed
	Events      []Event `json:"events"`                // the latest
	Missing     int     `json:"missing"`               // events before them that are not in it
}

// stream sends what changes as server-sent events, at most one message a tick however much that is,
// so that a reader is never behind by more than a tick.
func (i *Inspector) stream(w http.ResponseWriter, r *http.Request) {
	if i.streams.Add(1) > mostStreams {
		i.streams.Add(-1)
		fail(w, http.StatusTooManyRequests, "too many streams are read")
		return
	}
	defer i.streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	var version, seq uint64
	ticks := time.NewTicker(streamTick)
	defer ticks.Stop()
	var sent time.Time
	for {
		var b batch
		old := version
		b.Connections, version = i.recorder.Connections(version)
		b.Events, b.Missing = i.recorder.Events(seq, streamEvents)
		if n := len(b.Events); n > 0 {
			seq = b.Events[n-1].Seq
		}
		if version != old || len(b.Events) > 0 || time.Since(sent) >= streamBeat {
			sent = time.Now()
			state := i.now()
			b.State = &state
			out.SetWriteDeadline(time.Now().Add(streamStall))
			if writeMessage(w, b) != nil || out.Flush() != nil {
				return
			}
		}
		select {
		case <-ticks.C:
		case <-r.Context().Done():
			return
		}
	}
}

func writeMessage(w http.ResponseWriter, b batch) error {
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	data = append(append([]byte("data: "), data...), "\n\n"...)
	_, err = w.Write(data)
	return err
}
