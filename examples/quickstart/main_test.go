package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), "", &out); err != nil {
		t.Fatal(err)
	}
	// OnState runs on a goroutine of its own, so states and answers may come in either order.
	for _, line := range []string{
		"connecting -> open (connection 1)\n",
		`answer: {"action":"echo","text":"hello"}` + "\n",
		"-- the connection is reset --\n",
		"open -> backoff (connection 1)\n",
		"connecting -> open (connection 2)\n",
		`answer: {"action":"echo","text":"still there?"}` + "\n",
		"open -> closed (connection 2)\n",
	} {
		if strings.Count(out.String(), line) != 1 {
			t.Errorf("want once: %sin:\n%s", line, out.String())
		}
	}
}
