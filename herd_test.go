package apigws_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// Real clients against the gateway's quota. That the policies keep their
// promise with larger herds is simulated in internal/herd.
func TestHerd(t *testing.T) {
	const n = 1000
	for _, test := range []struct {
		fleet    int
		within   time.Duration // for 99 of 100
		attempts float64
	}{
		{n, 115 * 2 * time.Second / 100, 1.1}, // 1.5 is the goal; without Fleet it would be 1.25
		{0, 150 * 2 * time.Second / 100, 6},
	} {
		clienttest.Bubble(t, &gatewaytest.Config{ConnectRate: 500}, func(t *testing.T, gw *gatewaytest.Server) {
			for range n {
				clienttest.Dial(t, gw, &apigws.Options{Reconnect: apigws.Reconnect{Fleet: test.fleet}})
				time.Sleep(2 * time.Millisecond)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			before := gw.Stats()
			if before.Accepted != n || len(before.Refused) != 0 {
				t.Fatalf("%d connections, refused: %v", before.Accepted, before.Refused)
			}
			for _, conn := range gw.Conns() {
				conn.Drop()
			}
			time.Sleep(test.within)
			synctest.Wait()
			if back := len(gw.Conns()); back < n*99/100 {
				t.Errorf("fleet %d: %d of %d are back after %v", test.fleet, back, n, test.within)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			after := gw.Stats()
			attempts := float64(after.Accepted-n+after.Refused[429]) / n
			if after.Accepted != 2*n || attempts > test.attempts {
				t.Errorf("fleet %d: %d came back, with %.2f attempts each", test.fleet, after.Accepted-n, attempts)
			}
		})
	}
}
