package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/apigws/apigws"
)

// A request is what goes to the route that Action names.
type request struct {
	Action string `json:"action"`
	ID     string `json:"id"`
	Terms  []int  `json:"terms"`
}

// A response is what the backend posts to the connection that the request came from.
type response struct {
	ID    string `json:"id"`
	Sum   int    `json:"sum"`
	Error string `json:"error,omitempty"`
}

// A caller makes calls. Each has an entry in inFlight from before it is sent until it is answered
// or given up.
type caller struct {
	client *apigws.Client
	read   sync.WaitGroup // the goroutine that reads

	mu       sync.Mutex // guards what follows
	inFlight map[string]*flight
}

// A flight is a call that is not answered.
type flight struct {
	answer chan response // has room for one
	lost   chan struct{} // has an element when a connection was lost since the call was sent
}

// answerWithin is how long a call waits before it sends its request again: longer than the gateway
// lets an integration run. An answer can get lost without the loss of the connection in use: it is
// posted to the connection of the request, which a rotation may have replaced and closed by then.
const answerWithin = 30 * time.Second

// errEnded is the error of a call whose client has ended.
var errEnded = errors.New("client has ended")

func dial(ctx context.Context, url string, hc *http.Client) (*caller, error) {
	c := &caller{inFlight: make(map[string]*flight)}
	var err error
	c.client, err = apigws.Dial(ctx, url, &apigws.Options{HTTPClient: hc, OnState: c.noteLoss})
	if err != nil {
		return nil, err
	}
	c.read.Go(c.readAnswers)
	return c, nil
}

// close ends the client. That requests were unconfirmed is no error: each call has its own result.
func (c *caller) close() error {
	err := c.client.Close()
	c.read.Wait()
	if errors.Is(err, apigws.ErrUnconfirmed) {
		return nil
	}
	return err
}

// call sends a request and waits for its answer. The backend computes the same request twice if a
// connection is lost between request and answer, so the id stays the same: with it the backend can
// tell, if it matters.
func (c *caller) call(ctx context.Context, action string, terms ...int) (int, error) {
	req := request{Action: action, ID: rand.Text(), Terms: terms}
	f := &flight{answer: make(chan response, 1), lost: make(chan struct{}, 1)}
	c.mu.Lock()
	c.inFlight[req.ID] = f
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.inFlight, req.ID)
	}()
	for {
		// Of a request that may have arrived, too, the loss of the connection is noted in lost.
		if err := c.client.WriteJSON(ctx, req); err != nil && !errors.Is(err, apigws.ErrUnconfirmed) {
			return 0, err
		}
		select {
		case resp := <-f.answer:
			if resp.Error != "" {
				return 0, errors.New(resp.Error)
			}
			return resp.Sum, nil
		case <-f.lost: // again, on the next connection
		case <-time.After(answerWithin):
		case <-c.client.Done():
			return 0, errEnded
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// noteLoss marks the calls in flight when a connection is lost. After a rotation the old connection
// is still read, so answers to its requests arrive.
func (c *caller) noteLoss(_ *apigws.Client, s apigws.StateChange) {
	if s.From != apigws.StateOpen || s.To == apigws.StateOpen {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.inFlight {
		select {
		case f.lost <- struct{}{}:
		default:
		}
	}
}

// readAnswers hands answers to their calls, until the client has ended.
func (c *caller) readAnswers() {
	for msg, err := range c.client.Messages(context.Background()) {
		if err != nil {
			log.Print(err)
			continue
		}
		var resp response
		if err := json.Unmarshal(msg, &resp); err != nil || resp.ID == "" {
			log.Printf("not an answer: %q", msg) // an error frame of the gateway, for example
			continue
		}
		c.mu.Lock()
		f := c.inFlight[resp.ID]
		delete(c.inFlight, resp.ID) // a second answer to the same request finds no call
		c.mu.Unlock()
		if f != nil {
			f.answer <- resp
		}
	}
}
