package callback

import "sync"

// A Turn is held by at most one goroutine at a time, so that a callback never runs twice at once.
// Nobody holds the zero Turn.
type Turn struct {
	once sync.Once
	held chan struct{} // made by the first Take: most clients have few hooks
}

// Take waits until nobody holds the turn, takes it and returns true. If stop is closed before, it
// returns false and the caller does not hold the turn. Whoever holds it must call Give.
func (t *Turn) Take(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return false
	default:
	}
	t.once.Do(func() { t.held = make(chan struct{}, 1) })
	select {
	case t.held <- struct{}{}:
		return true
	case <-stop:
		return false
	}
}

// Give ends what Take began.
func (t *Turn) Give() {
	select {
	case <-t.held:
	default:
		panic("callback: Give without Take")
	}
}
