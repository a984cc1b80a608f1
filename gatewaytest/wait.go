package gatewaytest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
)

// Accept returns the next connection, in the order in which the clients were let in, each once; if
// there is none yet, it waits for one. It returns connections that have ended meanwhile, too, as
// far as AllConns has them. The error is that of ctx, or wraps net.ErrClosed when the Server is
// closed and no connection is left.
func (s *Server) Accept(ctx context.Context) (*Conn, error) {
	for {
		c, arrived, closed := s.conns.accept()
		switch {
		case c != nil:
			return c, nil
		case closed:
			return nil, fmt.Errorf("gatewaytest: accept: %w", net.ErrClosed)
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Conns returns the open connections, oldest first. A connection is open from the moment its client
// has the 101 until a close frame of either side or the end of the line.
func (s *Server) Conns() []*Conn {
	return slices.DeleteFunc(s.conns.all(), func(c *Conn) bool { return !c.open() })
}

// AllConns returns the connections that are open and those that have ended, oldest first; of the
// latter the last 1,000.
func (s *Server) AllConns() []*Conn { return s.conns.all() }

// Next returns the next message that came in, each once; if there is none yet, it waits for one.
// When the connection is no longer open and all its messages have been returned, the error wraps
// net.ErrClosed and has the close code in its text. It is that of ctx if that ends first. Where a
// message is no longer there, because of Config.MaxReceived or Config.Discard, Next returns an
// error for it.
func (c *Conn) Next(ctx context.Context) ([]byte, error) {
	for {
		c.mu.Lock()
		msg, err := c.history.take()
		if msg == nil && err == nil && c.state != stateOpen {
			err = fmt.Errorf("gatewaytest: %w with %d %q", net.ErrClosed, c.end.code, c.end.reason)
		}
		changed := c.changed.wait()
		c.mu.Unlock()
		if msg != nil || err != nil {
			return msg, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Wait waits until the connection has ended: until its socket is closed. It returns the close code
// and the reason of the side that closed first; 1005 stands for a close frame without a code, 1006
// for the end of the line without a close frame. The backend may be handling messages, and the
// DISCONNECT, still. The error is that of ctx.
func (c *Conn) Wait(ctx context.Context) (code int, reason string, err error) {
	for {
		c.mu.Lock()
		ended, changed := c.state == stateClosed, c.changed.wait()
		code, reason = c.end.code, c.end.reason
		c.mu.Unlock()
		if ended {
			return code, reason, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, "", ctx.Err()
		}
	}
}

// Received returns the complete messages that came in, in order, those that Next has returned
// included. It returns none if Config.Discard is set, and only the last ones with
// Config.MaxReceived.
func (c *Conn) Received() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	msgs := slices.Clone(c.history.msgs)
	for i, m := range msgs {
		msgs[i] = bytes.Clone(m)
	}
	return msgs
}

// A history is what has come in on a connection, guarded by its mutex.
type history struct {
	msgs  [][]byte
	first int // how many came before msgs[0]
	next  int // how many came before the one that Next returns next
}

// add keeps a message: of all the last most, or with 0 every one, or with -1 none.
func (h *history) add(data []byte, most int) {
	if h.msgs = append(h.msgs, data); most == 0 || len(h.msgs) <= most {
		return
	}
	h.msgs[0] = nil
	h.msgs = h.msgs[1:]
	h.first++
}

// take returns the next message, or nil if there is none yet, or an error in place of those that
// were not kept.
func (h *history) take() ([]byte, error) {
	if lost := h.first - h.next; lost > 0 {
		h.next = h.first
		return nil, fmt.Errorf("gatewaytest: %d messages were not kept", lost)
	}
	if h.next == h.first+len(h.msgs) {
		return nil, nil
	}
	msg := h.msgs[h.next-h.first]
	h.next++
	return append([]byte{}, msg...), nil // not nil, even if it is empty
}
