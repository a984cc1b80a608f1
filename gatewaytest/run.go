package gatewaytest

// TB is the part of testing.TB that Run needs.
type TB interface {
	Helper()
	Cleanup(func())
}

// Run starts a Server as NewServer does, and closes it when the test ends.
func Run(t TB, cfg *Config) *Server {
	t.Helper()
	s := NewServer(cfg)
	t.Cleanup(s.Close)
	return s
}

// RunInMemory starts a Server as NewInMemory does, and closes it when the test ends. In a bubble of
// testing/synctest, t is the one that the bubble got.
func RunInMemory(t TB, cfg *Config) *Server {
	t.Helper()
	s := NewInMemory(cfg)
	t.Cleanup(s.Close)
	return s
}
