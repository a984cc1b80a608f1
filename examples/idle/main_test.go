package main

import (
	"bytes"
	"errors"
	"net/http"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
)

// The experiment as it was: two minutes, a message a minute.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := gatewaytest.NewInMemory(nil)
		defer gw.Close()
		var out bytes.Buffer
		e := experiment{url: gw.URL, client: gw.Client(), idle: 2 * time.Minute, watch: 14*time.Minute + 30*time.Second}
		if err := e.run(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		want := `client                             lived    then
silent                             2m0s     cut with 1001 "Going away"
one message, then silent           2m0s     cut with 1001 "Going away"
a message every 1m0s               14m30s   still open
PINGs only, after 1m0s of silence  14m30s   still open
`
		if squeeze(out.String()) != squeeze(want) {
			t.Errorf("got:\n%swant:\n%s", out.String(), want)
		}
	})
}

// squeeze makes tables with columns of different widths comparable.
func squeeze(s string) string { return regexp.MustCompile(` +`).ReplaceAllString(s, " ") }

// As a user runs it, scaled down further.
func TestRunOverLoopback(t *testing.T) {
	var out bytes.Buffer
	e := experiment{idle: 200 * time.Millisecond}
	if err := e.run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`(?m)^silent +\S+ +cut with 1001 "Going away"$`,
		`(?m)^one message, then silent +\S+ +cut with 1001 "Going away"$`,
	} {
		if !regexp.MustCompile(line).MatchString(out.String()) {
			t.Errorf("no line %s in:\n%s", line, out.String())
		}
	}
}

func TestRunRefused(t *testing.T) {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	gw.Refuse(http.StatusForbidden, -1)
	var refused *apigws.HandshakeError
	e := experiment{url: gw.URL, idle: time.Second}
	if err := e.run(t.Context(), new(bytes.Buffer)); !errors.As(err, &refused) || refused.StatusCode != http.StatusForbidden {
		t.Errorf("%v, want the refusal with 403", err)
	}
}
