package handshake

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/gatewaytest"
)

// check returns the code and the text of an error, its hint included.
func check(t *testing.T, err error) (code int, text string) {
	t.Helper()
	var e *cli.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *cli.Error", err)
	}
	return e.Code, e.Error() + "\n" + e.Hint
}

func TestCheckURL(t *testing.T) {
	for _, tt := range []struct{ url, want string }{ // want: "" when it is fine
		{"wss://abc.execute-api.eu-west-1.amazonaws.com/prod", ""},
		{"ws://127.0.0.1:8080/prod", ""},
		{"ws://[::1]:8080/prod", ""},
		{"ws://localhost/prod?token=secret", ""},
		{"", "the URL is empty"},
		{"abc.execute-api.eu-west-1.amazonaws.com/prod", "Try: wss://abc.execute-api.eu-west-1.amazonaws.com/prod"},
		{"localhost:8080/prod", "Try: ws://localhost:8080/prod"},
		{"https://abc.example.org/prod?token=secret", "Try: wss://abc.example.org/prod?..."},
		{"http://user:secret@127.0.0.1:8080/prod#secret", "Try: ws://127.0.0.1:8080/prod"},
		{"ftp://abc.example.org/prod", "ftp:// is not that of a WebSocket"},
		{"ws://abc.example.org/prod?token=secret", "Try: wss://abc.example.org/prod?..."},
		{"wss://secret:\n@example.org", "cannot be parsed"},
	} {
		err := checkURL(tt.url, false)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.url, err)
			}
			continue
		}
		code, text := check(t, err)
		if code != cli.Usage || !strings.Contains(text, tt.want) || strings.Contains(text, "secret") {
			t.Errorf("%s: exit code %d and %q, want 2, %q and no secret", tt.url, code, text, tt.want)
		}
	}
	if err := checkURL("ws://abc.example.org/prod", true); err != nil {
		t.Errorf("with --allow-insecure: %v", err)
	}
}

// dial connects with f, and returns the explained error.
func dial(t *testing.T, f *Flags, url string) error {
	t.Helper()
	opts, err := f.Options(t.Context(), url, io.Discard)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c, err := apigws.Dial(ctx, url, opts)
	if err != nil {
		return f.Explain(err, url)
	}
	return c.Close()
}

func TestExplain(t *testing.T) {
	gw := gatewaytest.NewServer(nil)
	defer gw.Close()
	secure := gatewaytest.NewTLSServer(nil)
	defer secure.Close()
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	silent := httptest.NewServer(nil)
	silent.Close()
	refuse := func(status int) func() { return func() { gw.Refuse(status, -1) } }
	for _, tt := range []struct {
		name, url string
		setup     func()
		want      string
	}{
		{"401", gw.URL, refuse(401), "Authorization: Bearer"},
		{"403", gw.URL, refuse(403), "--iam"},
		{"403 without a stage", strings.TrimSuffix(gw.URL, "/prod"), refuse(403), "the URL has no path"},
		{"a redirect", gw.URL, refuse(302), "never redirects"},
		{"400", gw.URL, refuse(400), "its log says why"},
		{"429 in the end", gw.URL, refuse(429), "quota"},
		{"502 in the end", gw.URL, refuse(502), "CloudWatch"},
		{"404", strings.Replace(web.URL, "http", "ws", 1), nil, "No API is there"},
		{"nothing listens", strings.Replace(silent.URL, "http", "ws", 1), nil, "apigws gateway"},
		{"unknown authority", secure.URL, nil, "--ca"},
		{"TLS on a plain port", strings.Replace(gw.URL, "ws:", "wss:", 1), nil, "ws:// may be meant"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.setup != nil {
				tt.setup()
				defer gw.Refuse(0, 0)
			}
			code, text := check(t, dial(t, &Flags{}, tt.url))
			if code != cli.NotConnected || !strings.Contains(text, tt.want) {
				t.Errorf("exit code %d and %q, want 3 and %q", code, text, tt.want)
			}
		})
	}
}

func TestCA(t *testing.T) {
	gw := gatewaytest.NewTLSServer(nil)
	defer gw.Close()
	conn, err := tls.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(gw.URL, "wss://"), "/prod"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	cert := conn.ConnectionState().PeerCertificates[0]
	conn.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, &Flags{CA: file}, gw.URL); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	for _, file := range []string{os.DevNull, filepath.Join(t.TempDir(), "none")} {
		if code, text := check(t, dial(t, &Flags{CA: file}, gw.URL)); code != cli.Usage || !strings.Contains(text, "--ca") {
			t.Errorf("%s: exit code %d and %q", file, code, text)
		}
	}
}

// Headers come from the command line, from files and from the command, which has the last word.
func TestHeaders(t *testing.T) {
	var got http.Header
	gw := gatewaytest.NewServer(&gatewaytest.Config{Authorize: func(r *http.Request) int {
		got = r.Header
		return http.StatusOK
	}})
	defer gw.Close()
	file := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(file, []byte("X-File: from a file\r\n\nX-Twice: two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &Flags{
		Headers:       []string{"X-Line:from: the line", "X-Twice: one", "@" + file, "X-Token: stale"},
		HeaderCommand: "echo X-Token: fresh",
	}
	if err := dial(t, f, gw.URL); err != nil {
		t.Fatal(err)
	}
	gw.Close()
	for name, want := range map[string]string{
		"X-Line": "from: the line", "X-File": "from a file", "X-Twice": "one, two", "X-Token": "fresh",
	} {
		if value := strings.Join(got.Values(name), ", "); value != want {
			t.Errorf("%s: %q, want %q", name, value, want)
		}
	}
}

func TestWrongHeaders(t *testing.T) {
	file := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(file, []byte("X-File: fine\nsecret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		"secret":           "Name: value",
		": secret":         "Name: value",
		"@" + file:         "line 2 of " + file,
		"@/does/not/exist": "no such file",
		"Host: secret":     "-H must not hold Host",
		"X-A: secret\x00":  "-H has a control character in X-A",
	} {
		code, text := check(t, dial(t, &Flags{Headers: []string{given}}, "ws://127.0.0.1:1/prod"))
		if code != cli.Usage || !strings.Contains(text, want) || strings.Contains(text, "secret") {
			t.Errorf("%q: exit code %d and %q, want 2 and %q", given, code, text, want)
		}
	}
}

// A command that prints without an end does not fill the memory.
func TestHeaderCommandIsBounded(t *testing.T) {
	f := &Flags{HeaderCommand: "yes X-A: b"}
	code, text := check(t, dial(t, f, "ws://127.0.0.1:1/prod"))
	if code != cli.Usage || !strings.Contains(text, "--header-command failed") {
		t.Errorf("exit code %d and %q", code, text)
	}
}
