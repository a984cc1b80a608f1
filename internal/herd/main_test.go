package main

import "testing"

// What the README promises of herds, with fixed seeds.
func TestGoals(t *testing.T) {
	const fleetSet, defaults = 0, 1 // in policies
	for _, goal := range []struct {
		policy, n      int
		time, attempts float64 // as a multiple of N/500 s; the mean
	}{
		{fleetSet, 1_000, 1.15, 1.5},
		{fleetSet, 10_000, 1.15, 1.5},
		{fleetSet, 100_000, 1.15, 1.5},
		{defaults, 10_000, 1.5, 6},
	} {
		for seed := range uint64(3) {
			p := policies[goal.policy]
			r := simulate(goal.n, p, seed)
			got := r.most.Seconds() / physical(goal.n).Seconds()
			if got > goal.time || r.mean > goal.attempts || r.mean < 1 {
				t.Errorf("%s, %d clients, seed %d: 99 %% back after %.2f of N/500 s, %.2f attempts; want at most %v and %v",
					p.name, goal.n, seed, got, r.mean, goal.time, goal.attempts)
			}
		}
	}
}

// The bucket admits 500 at once and then 500 a second, whatever the policy.
func TestNoFasterThanTheGateway(t *testing.T) {
	for _, p := range policies {
		const n = 5_000
		r := simulate(n, p, 1)
		if best := physical(n*99/100 - 500); r.most < best {
			t.Errorf("%s: 99 %% were back after %v, which the gateway allows after %v only", p.name, r.most, best)
		}
	}
}
