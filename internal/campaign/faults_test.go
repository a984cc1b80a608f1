package campaign

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// A seed fixes the faults and their times; which goroutine runs first at the same instant is still
// the scheduler's choice, so a failure may need a few runs to come back: -count 100.
var (
	campaignSeed   = flag.Uint64("campaign.seed", 0, "run this one round of random faults")
	campaignRounds = flag.Int("campaign.rounds", 2000, "rounds of random faults")
)

// Everything that can go wrong, at random, under concurrent readers and
// writers. The gateway echoes: no echo must be read more often than its message
// was received.
func TestCampaignOfRandomFaults(t *testing.T) {
	var n tally
	if *campaignSeed != 0 {
		campaignRound(t, &n, *campaignSeed)
		n.log(t)
		return
	}
	rounds := *campaignRounds
	if testing.Short() {
		rounds /= 10
	}
	first := rand.Uint64()
	t.Run("rounds", func(t *testing.T) {
		const workers = 2
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				for i := w; i < rounds && !t.Failed(); i += workers {
					campaignRound(t, &n, first+uint64(i))
				}
			})
		}
	})
	t.Logf("%d rounds", rounds)
	n.log(t)
}

func campaignRound(t *testing.T, n *tally, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	cfg := &gatewaytest.Config{}
	if rng.IntN(4) == 0 {
		cfg.ConnectRate = 0.5
	}
	clienttest.Bubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		defer func() {
			if t.Failed() {
				t.Logf("to replay: go test -run CampaignOfRandomFaults -campaign.seed %d ./internal/campaign", seed)
			}
		}()
		opts := apigws.Options{
			Limits:    apigws.Limits{Frame: 100},
			Resend:    []int{0, 0, 500, 1 << 16}[rng.IntN(4)],
			Reconnect: apigws.Reconnect{RotateAfter: time.Minute + upTo(rng, 5*time.Minute)},
		}
		if rng.IntN(4) == 0 {
			opts.OnConnect = func(ctx context.Context, conn *apigws.Conn) error {
				if conn.Generation()%3 == 0 {
					return errors.New("not today")
				}
				return nil
			}
		}
		c := clienttest.Dial(t, gw, &opts)

		var readers, saboteurs sync.WaitGroup
		stopReading, cancel := context.WithCancel(t.Context())
		var echoes [2][]string
		for i := range 1 + rng.IntN(2) {
			lazy := upTo(rng, 3*time.Second) // per message
			readers.Go(func() {
				for p, err := range c.Messages(stopReading) {
					if err != nil {
						return
					}
					echoes[i] = append(echoes[i], string(p))
					time.Sleep(lazy)
				}
			})
		}
		for range 1 + rng.IntN(2) {
			s := saboteur{t: t, gw: gw, client: c, rng: rand.New(rand.NewPCG(rng.Uint64(), 2))}
			saboteurs.Go(func() { n.faults.Add(s.run()) })
		}
		healed := make(chan struct{})
		go func() {
			defer close(healed)
			saboteurs.Wait()
			heal(gw)
		}()
		records := converse(t, c, rng)
		<-healed
		flush(t, c, nil)
		settle(t, gw, c)
		cancel()
		readers.Wait()

		received := clienttest.Received(gw)
		if err := audit(n, records, received, opts.Resend > 0); err != nil {
			t.Error(err)
		}
		seen := map[string]int{}
		for _, text := range received {
			seen[text]++
		}
		for _, text := range slices.Concat(echoes[0], echoes[1]) {
			if seen[text]--; seen[text] < 0 {
				t.Errorf("the echo %.20q was read more often than the gateway sent it", text)
			}
		}
		s := c.Stats()
		n.reconnects.Add(s.LostClosed + s.LostNetwork + s.LostTimeout)
		n.rotations.Add(s.Rotations)
		if err := c.Close(); err != nil {
			t.Errorf("Close of a client at rest: %v", err)
		}
	})
}

// converse lets a few writers write at once, flushes, and does so again.
func converse(t *testing.T, c *apigws.Client, rng *rand.Rand) []record {
	var records []record
	writers, phases := 1+rng.IntN(3), 1+rng.IntN(3)
	for phase := range phases {
		var wg sync.WaitGroup
		each := make([][]record, writers)
		for w := range writers {
			rng := rand.New(rand.NewPCG(rng.Uint64(), 3))
			wg.Go(func() {
				for i := range 1 + rng.IntN(8) {
					if rng.IntN(2) == 0 {
						time.Sleep(upTo(rng, 5*time.Second))
					}
					ctx, cancel := t.Context(), func() {}
					if rng.IntN(4) == 0 {
						ctx, cancel = context.WithTimeout(ctx, upTo(rng, 5*time.Second))
					}
					text := fmt.Sprintf("%d.%d.%d", w, phase, i) + strings.Repeat(".", rng.IntN(300))
					each[w] = append(each[w], record{text: text, writer: w, err: c.Write(ctx, []byte(text))})
					cancel()
				}
			})
		}
		wg.Wait()
		written := slices.Concat(each...)
		flush(t, c, written)
		records = append(records, written...)
	}
	return records
}

// A saboteur disturbs a gateway.
type saboteur struct {
	t      *testing.T
	gw     *gatewaytest.Server
	client *apigws.Client
	rng    *rand.Rand
}

// run returns how often it has struck.
func (s *saboteur) run() (faults int64) {
	var later sync.WaitGroup
	defer later.Wait()
	for range 2 + s.rng.IntN(8) {
		if s.rng.IntN(3) > 0 {
			time.Sleep(upTo(s.rng, 15*time.Second))
		}
		faults++
		conn := s.victim()
		lasting := upTo(s.rng, 40*time.Second)
		switch s.rng.IntN(10) {
		case 0:
			conn.Drop()
		case 1:
			conn.Close([]int{1000, 1001, 1005, 1006, 1011, 1012}[s.rng.IntN(6)], "")
		case 2:
			freeze := []func(bool){conn.Freeze, conn.FreezeIn, conn.FreezeOut}[s.rng.IntN(3)]
			freeze(true)
			later.Go(func() {
				time.Sleep(lasting)
				freeze(false)
			})
		case 3:
			status := []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable,
				http.StatusRequestTimeout}[s.rng.IntN(4)]
			s.gw.Refuse(status, 1+s.rng.IntN(4))
		case 4:
			conn.SetFaults(s.faults())
		case 5:
			s.gw.SetFaults(s.faults())
		case 6, 7, 8:
			later.Go(func() {
				ctx, cancel := context.WithTimeout(s.t.Context(), lasting)
				defer cancel()
				s.client.Rotate(ctx) // it may fail: the saboteurs see to that
			})
		case 9:
			s.gw.Hold(true)
			later.Go(func() {
				time.Sleep(lasting)
				s.gw.Hold(false)
			})
		}
	}
	return faults
}

// victim returns an open connection, or one that has ended: disturbing that
// does nothing.
func (s *saboteur) victim() *gatewaytest.Conn {
	if open := s.gw.Conns(); len(open) > 0 {
		return open[s.rng.IntN(len(open))]
	}
	return s.gw.AllConns()[0]
}

// faults are a slow line, or one that is about to break.
func (s *saboteur) faults() gatewaytest.Faults {
	var f gatewaytest.Faults
	switch s.rng.IntN(5) {
	case 0:
		f.CutIn = 1 + s.rng.Int64N(500)
	case 1:
		f.CutOut = 1 + s.rng.Int64N(500)
	case 2:
		f.RateIn, f.RateOut = 100+s.rng.IntN(2000), 100+s.rng.IntN(2000)
	case 3:
		f.Latency = upTo(s.rng, 3*time.Second)
	case 4:
		f.PushDelay = upTo(s.rng, 3*time.Second)
	}
	return f
}

// upTo returns a random duration below d.
func upTo(rng *rand.Rand, d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }

// heal ends all faults.
func heal(gw *gatewaytest.Server) {
	gw.Refuse(0, 0)
	gw.Hold(false)
	gw.SetFaults(gatewaytest.Faults{})
	for _, conn := range gw.AllConns() {
		conn.SetFaults(gatewaytest.Faults{})
		conn.Freeze(false)
	}
}
