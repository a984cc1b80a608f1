package gatewaytest_test

import (
	"runtime"
	"testing"

	"github.com/apigws/apigws/gatewaytest"
)

// At twenty kilobytes each, ten thousand silent connections fit in a few hundred megabytes: both
// ends and the line between them included.
func TestMemoryOfSilentConnections(t *testing.T) {
	const (
		n    = 2_000
		most = 20 << 10 // bytes each
	)
	s := gatewaytest.NewInMemory(nil)
	defer s.Close()
	used := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := used()
	d := dialer(s)
	for range n {
		conn, _, _, err := d.Dial(t.Context(), s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	each := (used() - before) / n
	t.Logf("%d bytes a connection", each)
	if each > most {
		t.Errorf("%d bytes a connection, want at most %d", each, most)
	}
	if got := len(s.Conns()); got != n {
		t.Errorf("%d connections", got)
	}
}
