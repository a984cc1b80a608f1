package callback

// A Turn is held by at most one goroutine at a time, so that a callback never runs twice at once.
type Turn struct{ held chan struct{} }

// NewTurn returns a turn that nobody holds.
func NewTurn() Turn { return Turn{make(chan struct{}, 1)} }

// Take waits until nobody holds the turn, takes it and returns true. If stop is closed before, it
// returns false and the caller does not hold the turn. Whoever holds it must call Give.
func (t Turn) Take(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return false
	default:
	}
	select {
	case t.held <- struct{}{}:
		return true
	case <-stop:
		return false
	}
}

// Give ends what Take began.
func (t Turn) Give() {
	select {
	case <-t.held:
	default:
		panic("callback: Give without Take")
	}
}
