package main

import (
	"bytes"
	"regexp"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	e := experiment{idle: 800 * time.Millisecond, watch: 2 * time.Second}
	if err := e.run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`(?m)^silent +\S+ +cut with 1001 "Going away"$`,
		`(?m)^one message, then silent +\S+ +cut with 1001 "Going away"$`,
		`(?m)^a message every 400ms +\S+ +still open$`,
		`(?m)^PINGs only, after 400ms of silence +\S+ +still open$`,
	} {
		if !regexp.MustCompile(line).MatchString(out.String()) {
			t.Errorf("no line %s in:\n%s", line, out.String())
		}
	}
}
