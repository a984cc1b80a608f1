//go:build linux && realnet

package realnet

import "testing"

// known are the promises that the library does not keep yet, with how often it may break them in
// one conversation, or in the campaign. What is not listed must not happen at all.
var known = map[string]int{}

// check fails the test if a number is above what is tolerated.
func check(t *testing.T, what string, got int) {
	t.Helper()
	if got > known[what] {
		t.Errorf("%s: %d, and at most %d are tolerated", what, got, known[what])
	} else if got > 0 {
		t.Logf("%s: %d, known and tolerated up to %d", what, got, known[what])
	}
}
