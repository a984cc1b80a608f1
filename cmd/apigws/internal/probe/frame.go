package probe

import (
	"bytes"
	"context"
	"time"

	"github.com/apigws/apigws"
)

// frameLimit is what AWS documents as 32 KB.
const frameLimit = 32 << 10

// A frame is what became of a frame of some size.
type frame struct {
	size int
	err  error // nil: the gateway took it; apigws.ErrNoPong: it did not say
}

// tryFrame sends the message, padded with spaces, which JSON does not mind, in
// one frame on a connection of its own. The error says that there was no
// connection to try it on.
func (p *probe) tryFrame(ctx context.Context, size int) (frame, error) {
	opts := p.options()
	opts.Limits.Frame = size
	c, err := apigws.Dial(ctx, p.url, opts)
	if err != nil {
		return frame{}, err
	}
	defer c.Close()
	go func() {
		for range c.Messages(ctx) { // ends with the client
		}
	}()

	text := append(bytes.Clone(p.message), bytes.Repeat([]byte(" "), max(0, size-len(p.message)))...)
	err = c.Write(ctx, text)
	if err == nil {
		waiting, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		// nil: a PONG proves that the gateway has it. An error wraps the close
		// frame, if one came.
		err = c.Flush(waiting)
	}
	return frame{size, err}, ctx.Err()
}
