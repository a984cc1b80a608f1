package apigws_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

// The fault campaign. Connections are cut after every byte of a conversation,
// and disturbed at random by everything that the fake gateway can do, and each
// time the books must balance: what Write, Flush and Read have said against
// what the gateway has received.
//
//	go test -run Campaign -v -campaign.rounds 20000 .
//	go test -run CampaignOfRandomFaults -campaign.seed 12345 .
//
// A seed fixes the faults and their times; which goroutine runs first at the
// same instant is still the scheduler's choice, so a failure may need a few
// runs to come back: -count 100.
var (
	campaignSeed   = flag.Uint64("campaign.seed", 0, "run this one round of random faults")
	campaignRounds = flag.Int("campaign.rounds", 2000, "rounds of random faults")
)

// A tally is what the campaign reports at its end.
type tally struct {
	cuts, faults, messages, received atomic.Int64
	told                             atomic.Int64 // by Write: not sent, or unconfirmed
	lost                             atomic.Int64 // and Flush said so
	duplicated                       atomic.Int64 // with Resend
	reconnects, rotations            atomic.Int64
}

func (n *tally) log(t *testing.T) {
	t.Logf("%d cuts, %d other faults, %d reconnects, %d rotations; %d messages written, %d received, "+
		"%d not sent or unconfirmed by their Write, %d lost by the word of Flush, %d duplicated by Resend; "+
		"0 lost silently, 0 duplicated without Resend, 0 out of order",
		n.cuts.Load(), n.faults.Load(), n.reconnects.Load(), n.rotations.Load(), n.messages.Load(), n.received.Load(),
		n.told.Load(), n.lost.Load(), n.duplicated.Load())
}

// A record is what a test knows of one message.
type record struct {
	text   string
	writer int
	err    error // of Write
	flush  error // of the Flush after it
}

// audit checks what was said of messages, those of each writer in the order of
// their writes, against what the gateway has received, in order.
func audit(n *tally, records []record, received []string, resend bool) error {
	count := map[string]int{}
	for _, text := range received {
		count[text]++
	}
	n.received.Add(int64(len(received)))
	n.messages.Add(int64(len(records)))
	arrived := map[int][]string{} // by writer, in the order of the writes
	for _, r := range records {
		got := count[r.text]
		delete(count, r.text)
		least, most := 0, 1
		switch {
		case r.err == nil && r.flush == nil:
			least = 1
		case r.err == nil, errors.Is(r.err, apigws.ErrUnconfirmed):
			if resend {
				return fmt.Errorf("%.20q: Write said %v and Flush %v in spite of Resend", r.text, r.err, r.flush)
			}
		case errors.Is(r.err, apigws.ErrNotSent):
			most = 0
		default:
			return fmt.Errorf("%.20q: Write said %v", r.text, r.err)
		}
		if got < least || got > most && !(resend && most == 1) {
			return fmt.Errorf("%.20q was received %d times, but Write said %v, and Flush %v", r.text, got, r.err, r.flush)
		}
		switch {
		case got > 0:
			arrived[r.writer] = append(arrived[r.writer], r.text)
			n.duplicated.Add(int64(got - 1))
		case r.err == nil:
			n.lost.Add(1)
		}
		if r.err != nil {
			n.told.Add(1)
		}
	}
	for text := range count {
		return fmt.Errorf("%.20q was received and never written", text)
	}
	next := map[int]int{}
	for _, text := range firsts(received) {
		var writer int
		fmt.Sscanf(text, "%d.", &writer)
		if want := arrived[writer][next[writer]]; text != want {
			return fmt.Errorf("writer %d: %.20q was received where %.20q was due", writer, text, want)
		}
		next[writer]++
	}
	return nil
}

// A conversation is what the cuts go through: messages of one and of several
// frames, with short and with 16-bit lengths.
var conversations = []struct {
	frame    int
	messages []string
}{
	{10, []string{"0.a", "0.b three frames or so", "0.c"}},
	{126, []string{"0.d" + strings.Repeat(".", 123), "0.e"}},
}

// Cut the stream after each byte that the client sends: by the gateway, so
// that the operating system takes what is lost, and under the client's own
// write, which then fails.
func TestCampaignOfCutsIn(t *testing.T) {
	var n tally
	for _, talk := range conversations {
		all := 40 // the PINGs
		for _, msg := range talk.messages {
			all += len(msg) + 8*((len(msg)+talk.frame-1)/talk.frame)
		}
		for cut := 1; cut <= all; cut++ {
			for _, resend := range []int{0, 1 << 10} {
				for _, own := range []bool{false, true} {
					inBubble(t, nil, func(t *testing.T, gw *gatewaytest.Server) {
						var conns ledger
						var network brittleNet
						opts := apigws.Options{Resend: resend, Limits: apigws.Limits{Frame: talk.frame}}
						conns.keep(gw, &opts)
						c := dialOver(t, gw, network.client(gw), &opts)
						if own {
							network.breakAfter(cut)
						} else {
							synctest.Wait()
							only(t, gw).SetFaults(gatewaytest.Faults{CutIn: int64(cut)})
						}
						var records []record
						for _, msg := range talk.messages {
							records = append(records, record{text: msg, err: c.Write(t.Context(), []byte(msg))})
							if len(records) == 2 {
								flush(t, c, records)
							}
						}
						flush(t, c, records)
						settle(t, gw, c)
						n.cuts.Add(1)
						n.reconnects.Add(c.Stats().Connects - 1)
						if err := audit(&n, records, conns.received(), resend > 0); err != nil {
							t.Errorf("cut in after byte %d, frames of %d, resend %d, own %v: %v", cut, talk.frame, resend, own, err)
						}
					})
				}
			}
		}
	}
	n.log(t)
}

// flush notes the result of Flush for the messages that have none yet.
func flush(t *testing.T, c *apigws.Client, records []record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	err := c.Flush(ctx)
	if err != nil && !errors.Is(err, apigws.ErrUnconfirmed) || ctx.Err() != nil {
		t.Errorf("Flush: %v", err)
	}
	for i := range records {
		if r := &records[i]; r.flush == nil {
			r.flush = err
		}
	}
}

// settle waits until a client is at rest again, and checks that it is, with
// one live connection.
func settle(t *testing.T, gw *gatewaytest.Server, c *apigws.Client) {
	t.Helper()
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	if len(gw.Conns()) == 2 {
		time.Sleep(15 * time.Second) // a rotation by age, which drains the old one
		synctest.Wait()
	}
	if state, conns := c.State(), len(gw.Conns()); state != apigws.StateOpen || conns != 1 {
		t.Errorf("at the end the client is %v with %d connections", state, conns)
	}
}

// Cut the stream after each byte that the gateway sends. The client must
// return the messages that were complete by then, and no other.
func TestCampaignOfCutsOut(t *testing.T) {
	var stream []byte
	var ends []int // of messages
	frame := func(first byte, payload string) {
		stream = append(stream, first)
		if len(payload) < 126 {
			stream = append(stream, byte(len(payload)))
		} else {
			stream = append(stream, 126, byte(len(payload)>>8), byte(len(payload)))
		}
		stream = append(stream, payload...)
	}
	end := func() { ends = append(ends, len(stream)) }
	frame(0x81, "one frame")
	end()
	frame(0x01, "three ")
	frame(0x00, "frames, and between them ")
	frame(0x89, "a PING")
	frame(0x80, "another")
	end()
	frame(0x81, "")
	end()
	frame(0x81, strings.Repeat("é", 70))
	end()
	messages := []string{"one frame", "three frames, and between them another", "", strings.Repeat("é", 70)}

	var n tally
	for cut := 1; cut <= len(stream); cut++ {
		for _, resend := range []int{0, 1 << 10} {
			inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
				c := dial(t, gw, &apigws.Options{Resend: resend})
				conn := only(t, gw)
				synctest.Wait() // the gateway has counted the PONG of Dial
				conn.SetFaults(gatewaytest.Faults{CutOut: int64(cut)})
				if err := conn.SendRaw(stream); err != nil {
					t.Fatal(err)
				}
				complete := 0
				for complete < len(ends) && ends[complete] <= cut {
					complete++
				}
				for i := range complete {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					p, err := c.Read(ctx)
					cancel()
					if err != nil || string(p) != messages[i] {
						t.Errorf("cut out after byte %d: message %d is %q, %v", cut, i, p, err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if p, err := c.Read(ctx); err == nil {
					t.Errorf("cut out after byte %d: one message more: %q", cut, p)
				}
				mustWrite(t, c, "after")
				if err := c.Flush(t.Context()); err != nil {
					t.Errorf("cut out after byte %d: Flush: %v", cut, err)
				}
				settle(t, gw, c)
				n.cuts.Add(1)
				n.reconnects.Add(c.Stats().Connects - 1)
				n.messages.Add(int64(complete))
			})
		}
	}
	t.Logf("%d cuts, %d reconnects, %d complete messages, all of them read", n.cuts.Load(), n.reconnects.Load(), n.messages.Load())
}

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
	inBubble(t, cfg, func(t *testing.T, gw *gatewaytest.Server) {
		defer func() {
			if t.Failed() {
				t.Logf("to replay: go test -run CampaignOfRandomFaults -campaign.seed %d .", seed)
			}
		}()
		var conns ledger
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
		conns.keep(gw, &opts)
		c := dial(t, gw, &opts)

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
			s := saboteur{t: t, gw: gw, client: c, conns: &conns, rng: rand.New(rand.NewPCG(rng.Uint64(), 2))}
			saboteurs.Go(func() { n.faults.Add(s.run()) })
		}
		healed := make(chan struct{})
		go func() {
			defer close(healed)
			saboteurs.Wait()
			heal(gw, &conns)
		}()
		records := converse(t, c, rng)
		<-healed
		flush(t, c, nil)
		settle(t, gw, c)
		cancel()
		readers.Wait()

		received := conns.received()
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
	conns  *ledger
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
	return s.conns.all()[0]
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
func heal(gw *gatewaytest.Server, conns *ledger) {
	gw.Refuse(0, 0)
	gw.Hold(false)
	gw.SetFaults(gatewaytest.Faults{})
	for _, conn := range conns.all() {
		conn.SetFaults(gatewaytest.Faults{})
		conn.Freeze(false)
	}
}

// A month of an ordinary life: messages both ways every ten minutes, a
// rotation every two hours, keepalives in between, and one break a day.
func TestMonth(t *testing.T) {
	days := 30
	if testing.Short() {
		days = 3
	}
	const minute, round = time.Minute, 10 * time.Minute
	inBubble(t, silentBackend, func(t *testing.T, gw *gatewaytest.Server) {
		type change struct {
			at time.Time
			apigws.StateChange
		}
		var (
			conns   ledger
			changes []change
			read    []string
			opts    = apigws.Options{OnState: func(_ *apigws.Client, s apigws.StateChange) { changes = append(changes, change{time.Now(), s}) }}
		)
		conns.keep(gw, &opts)
		c := dial(t, gw, &opts)
		go func() {
			for p, err := range c.Messages(t.Context()) {
				if err != nil {
					return
				}
				read = append(read, string(p))
			}
		}()
		synctest.Wait()
		atStart := goroutines()

		var (
			n       tally
			records []record
			rounds  = days * int(24*time.Hour/round)
			lost    = 0 // messages that a break will lose
			breaks  = 0
		)
		say := func(text string) {
			records = append(records, record{text: text, err: c.Write(t.Context(), []byte(text))})
			flush(t, c, records[len(records)-1:])
		}
		for i := range rounds {
			say(fmt.Sprint("0.", i))
			open := gw.Conns()
			if err := open[len(open)-1].Send([]byte(fmt.Sprint(i))); err != nil {
				t.Errorf("push %d: %v", i, err)
			}
			time.Sleep(round / 2)
			if i%int(24*time.Hour/round) == 70 { // once a day
				open := gw.Conns()
				conn := open[len(open)-1]
				switch breaks++; breaks % 4 {
				case 0:
					conn.Drop()
				case 1:
					conn.Close(1001, "Going away")
				case 2:
					gw.Refuse(429, 3)
					conn.Close(1006, "")
				case 3:
					conn.Freeze(true)
					say(fmt.Sprint("0.into the void ", i)) // the PING of Flush finds out
					lost++
					time.AfterFunc(minute, conn.Drop) // long after the client has left it
				}
			}
			time.Sleep(round / 2)
		}
		time.Sleep(minute) // Drain
		synctest.Wait()

		if err := audit(&n, records, conns.received(), false); err != nil {
			t.Error(err)
		}
		if got := int(n.lost.Load()); got != lost || c.Stats().Unconfirmed != int64(lost) {
			t.Errorf("%d messages were lost, and Flush told of %d; %d were written into a dead path", got, c.Stats().Unconfirmed, lost)
		}
		wantEqual(t, "read", read, numbered("", rounds))

		// Every connection ended by its age or by one of the breaks, and every
		// gap was seen for what it was.
		var opened, from time.Time
		var rotations, least, most int
		gaps := []time.Duration{0}
		segment := func(until time.Time) {
			least += int(until.Sub(from) / (110 * minute))
			most += int(until.Sub(from) / (105 * minute))
		}
		for i, s := range changes {
			switch {
			case s.From == apigws.StateOpen && s.To == apigws.StateOpen:
				if age := s.at.Sub(opened); age < 105*minute || age > 110*minute {
					t.Errorf("a connection was renewed at the age of %v", age)
				}
				rotations++
				gaps = append(gaps, 0)
				opened = s.at
			case s.From == apigws.StateOpen:
				segment(s.at)
			case s.To == apigws.StateOpen:
				if i > 1 {
					back := i
					for changes[back].From != apigws.StateOpen {
						back--
					}
					gaps = append(gaps, s.at.Sub(changes[back].at))
				}
				opened, from = s.at, s.at
			}
		}
		segment(time.Now())
		wantEqual(t, "gaps", conns.gaps, gaps)
		s := c.Stats()
		if s.Rotations != int64(rotations) || rotations < least || rotations > most {
			t.Errorf("%d rotations counted, %d seen, %d to %d possible", s.Rotations, rotations, least, most)
		}
		if got := s.LostClosed + s.LostNetwork + s.LostTimeout; got != int64(breaks) || s.Connects != int64(1+rotations+breaks) {
			t.Errorf("%d breaks noticed and %d connections made, after %d breaks and %d rotations", got, s.Connects, breaks, rotations)
		}
		only(t, gw)
		if now := goroutines(); now > atStart {
			t.Errorf("%d goroutines at the end, %d at the start", now, atStart)
		}
		t.Logf("%d days: %d rotations, %d breaks, %d messages each way, %d of them lost as Flush said, %d PINGs",
			days, rotations, breaks, rounds, lost, s.Pings)
	})
}

// FuzzServerBytes sends arbitrary bytes to a client. Whatever they do to the
// connection, the client must be well on the next one.
func FuzzServerBytes(f *testing.F) {
	frame := func(first byte, payload string) []byte {
		return append([]byte{first, byte(len(payload))}, payload...)
	}
	for _, seed := range [][]byte{
		frame(0x81, "hello"),
		frame(0x01, "half"),
		frame(0x80, "a continuation of nothing"),
		frame(0x82, "\xff\xfe"),
		frame(0x89, "ping"),
		slices.Concat(frame(0x8a, "1"), frame(0x8a, "2"), frame(0x8a, "0"), frame(0x8a, "99999999999999999999")),
		frame(0x88, ""),
		frame(0x88, "\x03\xe8bye"),
		frame(0x88, "\x03"),
		frame(0x88, "\x03\xf1too large"),
		frame(0xf1, "reserved bits"),
		frame(0x83, "a reserved opcode"),
		{0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'},
		{0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'},
		{0x81, 0x85, 1, 2, 3, 4, 'm', 'a', 's', 'k', 'd'},
		[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, resend bool) {
		synctest.Test(t, func(t *testing.T) {
			gw := gatewaytest.NewInMemory(nil)
			defer gw.Close()
			var opts apigws.Options
			if resend {
				opts.Resend = 1 << 10
			}
			c := dial(t, gw, &opts)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			found := make(chan struct{})
			go func() {
				defer close(found)
				for p, err := range c.Messages(ctx) {
					if err != nil {
						return
					}
					if bytes.Equal(p, []byte("the end")) {
						found <- struct{}{}
						return
					}
				}
			}()
			conn := gw.Conns()[0]
			mustWrite(t, c, "before")
			if err := conn.SendRaw(data); err != nil {
				t.Fatal(err)
			}
			mustWrite(t, c, "after")
			time.Sleep(2 * time.Minute)
			// Bytes may have promised a frame of exabytes: only a break helps.
			conn.Drop()
			time.Sleep(time.Minute)
			mustWrite(t, c, "the end")
			if _, ok := <-found; !ok {
				t.Errorf("the client is %v (%v) and does not get through", c.State(), c.Err())
			}
			if n := len(gw.Conns()); n != 1 {
				t.Errorf("%d connections at the end: %v", n, slices.Collect(maps.Keys(gw.Stats().Closed)))
			}
		})
	})
}
