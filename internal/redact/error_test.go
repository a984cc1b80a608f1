package redact

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unsafe is in the texts of all errors of these tests, and must be in none that is returned.
const unsafe = "http://me:pa/ss@proxy"

// A teller is an error of a transport that tells everything.
type teller struct {
	text  string
	inner error
}

func (e *teller) Error() string { return e.text }
func (e *teller) Unwrap() error { return e.inner }

// slow is a timeout.
type slow struct{ teller }

func (*slow) Timeout() bool   { return true }
func (*slow) Temporary() bool { return true }

// several is a join with a text of its own.
type several []error

func (several) Error() string     { return "no secret" }
func (e several) Unwrap() []error { return e }

// path is an address that holds anything.
type path string

func (path) Network() string  { return unsafe }
func (p path) String() string { return string(p) }

func TestTransportText(t *testing.T) {
	told := errors.New(unsafe)
	//lint:ignore SA1007 It is meant to fail.
	_, unparsed := url.Parse("http://me:%zz@" + unsafe)
	addr := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 3128}
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: err} }
	refused := os.NewSyscallError("connect", syscall.ECONNREFUSED)
	certificate := &x509.Certificate{DNSNames: []string{"other.example.com"}, Raw: []byte{0}}
	tests := []struct {
		err  error
		want string
	}{
		{told, "*errors.errorString"},
		{&teller{text: unsafe}, "*redact.teller"},
		{&teller{unsafe, refused}, "connection refused"},
		{&slow{teller{text: unsafe}}, "timeout"},
		{fmt.Errorf(unsafe+": %w", &teller{text: unsafe}), "*redact.teller"},
		{fmt.Errorf(unsafe+": %w", context.Canceled), "context canceled"},
		{fmt.Errorf(unsafe+": %w, %w", told, io.EOF), "EOF"},
		{errors.Join(told, io.EOF, net.ErrClosed), "EOF, use of closed network connection"},
		{errors.Join(told), "*errors.joinError"},
		{&url.Error{Op: "Get", URL: unsafe, Err: dial(refused)}, "dial tcp 10.0.0.1:3128: connection refused"},
		{&url.Error{Op: "Get", URL: unsafe, Err: told}, "*errors.errorString"},
		{&url.Error{Op: "Get", URL: unsafe}, "*url.Error"},
		{unparsed, "a URL that cannot be parsed"},
		{fmt.Errorf(unsafe+" %w", unparsed), "a URL that cannot be parsed"},
		{errors.New("invalid proxy address \"" + unsafe), "the address of the proxy cannot be parsed"},
		{errors.New("malformed HTTP response \"" + unsafe), "the answer is not HTTP"},
		{fmt.Errorf("readLoopPeekFailLocked: %w", error(nil)), "the server has answered before it was asked"},
		{errors.New("Proxy Authentication Required"), "407 Proxy Authentication Required"},
		{errors.New("Proxy Authentication Required for " + unsafe), "*errors.errorString"},
		{dial(told), "dial tcp 10.0.0.1:3128: *errors.errorString"},
		{dial(nil), "dial tcp 10.0.0.1:3128: <nil>"},
		{dial(os.ErrDeadlineExceeded), "dial tcp 10.0.0.1:3128: i/o timeout"},
		{&net.OpError{Op: "proxyconnect", Net: "tcp", Err: dial(refused)},
			"proxyconnect tcp: dial tcp 10.0.0.1:3128: connection refused"},
		{&net.OpError{Op: unsafe, Net: unsafe, Addr: path(unsafe), Err: io.EOF}, "EOF"},
		{&net.OpError{Op: "read", Net: "unix", Source: path(unsafe), Err: syscall.ECONNRESET},
			"read unix: connection reset by peer"},
		{dial(&net.DNSError{Name: "example.com", Server: unsafe, Err: unsafe, IsNotFound: true}),
			"dial tcp 10.0.0.1:3128: lookup example.com: no such host"},
		{&net.DNSError{Name: unsafe, Err: unsafe, IsTimeout: true}, "lookup: timeout"},
		{&net.DNSError{Name: "example.com", Err: unsafe}, "lookup example.com: the name server failed"},
		{&os.SyscallError{Syscall: unsafe, Err: syscall.EPIPE}, "broken pipe"},
		{&os.SyscallError{Syscall: "write", Err: told}, "*os.SyscallError"},
		{&fs.PathError{Op: unsafe, Path: unsafe, Err: syscall.ENOENT}, "no such file or directory"},
		{tls.RecordHeaderError{Msg: unsafe}, "the answer is not TLS"},
		{tls.AlertError(40), "tls: handshake failure"},
		{&tls.CertificateVerificationError{Err: told}, "the certificate does not verify"},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
			"x509: certificate signed by unknown authority"},
		{x509.HostnameError{Certificate: certificate, Host: "example.com\n"},
			"x509: certificate is valid for other.example.com, not example.com?"},
		{http.ErrSchemeMismatch, "http: server gave HTTP response to HTTPS client"},
	}
	for _, test := range tests {
		var none Secrets
		err := none.Transport(test.err)
		if err.Error() != test.want {
			t.Errorf("%T %.60q: %q, want %q", test.err, fmt.Sprint(test.err), err, test.want)
		}
		if text := fmt.Sprintf("%v %+v %#v %q", err, err, err, err); strings.Contains(text, unsafe) {
			t.Errorf("visible: %s", text)
		}
	}
}

// Even what is known gives way to a secret.
func TestTransportSecrets(t *testing.T) {
	var s Secrets
	s.AddHeader(http.Header{"X-Key": {"token-as-a-name"}})
	err := s.Transport(&net.DNSError{Name: "token-as-a-name.example.com", IsNotFound: true})
	if got, want := err.Error(), "lookup REDACTED.example.com: no such host"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		t.Errorf("errors.As gives away %q", dns)
	}
}

// What can be told from an error still can: by errors.Is whatever is in it, by errors.As what has
// no secret.
func TestIdentity(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 3128}
	var (
		own     = &teller{text: "no secret"}
		telling = &slow{teller{text: unsafe}}
		known   = &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		unknown = &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: errors.New("me:secret")}
		odd     = &net.OpError{Op: "dial", Net: "tcp", Addr: path("me:secret"), Err: io.EOF}
		wrapped = &url.Error{Op: "Get", URL: unsafe, Err: errors.Join(own, telling, known)}
	)
	var s Secrets
	for name, err := range map[string]error{"Transport": s.Transport(wrapped), "Hook": s.Hook(wrapped)} {
		for _, target := range []error{wrapped, own, telling, known, syscall.ECONNREFUSED} {
			if !errors.Is(err, target) {
				t.Errorf("%s: errors.Is does not find %T", name, target)
			}
		}
		if errors.Is(err, io.EOF) {
			t.Errorf("%s: errors.Is finds what is not there", name)
		}
		var errno syscall.Errno
		if !errors.As(err, &errno) || errno != syscall.ECONNREFUSED {
			t.Errorf("%s: no errno", name)
		}
		var op *net.OpError
		if !errors.As(err, &op) || op != known {
			t.Errorf("%s: no *net.OpError", name)
		}
		var gotOwn *teller
		if !errors.As(err, &gotOwn) || gotOwn != own {
			t.Errorf("%s: the transport's own error is not found", name)
		}
		before := &slow{}
		kept := before
		if errors.As(err, &kept) || kept != before {
			t.Errorf("%s: errors.As gives away %v", name, kept)
		}
		var ofURL *url.Error
		if errors.As(err, &ofURL) {
			t.Errorf("%s: errors.As gives away %v", name, ofURL)
		}
		var wrapping interface{ Unwrap() error }
		if errors.As(err, &wrapping) {
			t.Errorf("%s: errors.As gives away %v", name, wrapping)
		}
	}
	var op *net.OpError
	for _, err := range []error{unknown, odd} {
		if errors.As(s.Transport(err), &op) {
			t.Errorf("errors.As gives away %q", op)
		}
	}
	if !errors.As(s.Hook(unknown), &op) {
		t.Error("what is no secret of the handshake may be in an error of a hook")
	}
	// Nor by what is in them, nor as an interface.
	var inner *teller
	for _, err := range []error{
		&teller{"no secret", &url.Error{Op: "Get", URL: unsafe, Err: io.EOF}},
		&teller{"no secret", several{io.EOF, errors.New(unsafe)}},
	} {
		if errors.As(s.Hook(err), &inner) {
			t.Errorf("errors.As gives away what wraps %v", inner.inner)
		}
	}
	if !errors.As(s.Hook(&teller{"no secret", errors.Join(io.EOF, own)}), &inner) {
		t.Error("what wraps no secret is not found")
	}
	var ofURL *url.Error
	if errors.As(s.Hook(&url.Error{Op: "Get", URL: "https://example.com", Err: io.EOF}), &ofURL) {
		t.Errorf("errors.As gives away %v", ofURL)
	}
	var wrapping interface{ Unwrap() error }
	if errors.As(s.Hook(own), &wrapping) {
		t.Errorf("errors.As gives away %v", wrapping)
	}
	var rec tls.RecordHeaderError
	if !errors.As(s.Transport(fmt.Errorf("%w", tls.RecordHeaderError{Msg: "x"})), &rec) {
		t.Error("no tls.RecordHeaderError")
	}
	var verification *tls.CertificateVerificationError
	if !errors.As(s.Transport(&tls.CertificateVerificationError{Err: errors.New("the system's words")}), &verification) {
		t.Error("no *tls.CertificateVerificationError")
	}
	var authority x509.UnknownAuthorityError
	if !errors.As(s.Transport(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), &authority) {
		t.Error("no x509.UnknownAuthorityError")
	}
}

func TestTimeout(t *testing.T) {
	var s Secrets
	for err, want := range map[error]bool{
		context.DeadlineExceeded: true, os.ErrDeadlineExceeded: true, &slow{}: true, io.EOF: false, context.Canceled: false,
	} {
		for _, err := range []error{s.Transport(fmt.Errorf("%w", err)), s.Hook(fmt.Errorf("%w", err))} {
			var ofNet net.Error
			//lint:ignore SA1019 A net.Error has the method, so it has to answer.
			if !errors.As(err, &ofNet) || ofNet.Timeout() != want || ofNet.Temporary() != want {
				t.Errorf("%v: %v", err, ofNet)
			}
		}
	}
}

// A long text that a peer has made up, and a short one in which everything is ambiguous, take no
// time worth speaking of. If match were to look at all of a run, or to try all combinations, this
// would not end.
func TestHostileText(t *testing.T) {
	var s Secrets
	for _, secret := range []string{"bearer-token", `a-\-token`, "a-%-token"} {
		s.add(secret)
	}
	for _, unit := range []string{"%25", "%", `\`, "a-", `a-\`} {
		text := strings.Repeat(unit, 1<<18)
		if got := s.Text(text); got != text {
			t.Errorf("%.20q... has become %.20q...", text, got)
		}
	}
	for _, unit := range []string{"%", `\`, "%25", "a"} {
		var s Secrets
		s.add(strings.Repeat(unit, 50) + "x")
		for _, unit := range []string{"%25", `\`, "a"} {
			text := strings.Repeat(unit, 200)
			if got := s.Text(text); got != text {
				t.Errorf("%.20q... has become %.20q...", text, got)
			}
		}
	}
}

// FuzzTransport builds errors out of unsafe parts.
func FuzzTransport(f *testing.F) {
	f.Add("dial", "tcp", "example.com", "secret", uint8(1))
	f.Add("a-secret-operation", "a-secret-net", "secret secret", "malformed HTTP a-secret", uint8(7))
	f.Fuzz(func(t *testing.T, op, network, name, text string, kind uint8) {
		var s Secrets
		s.AddValue(text)
		var err error = &teller{text: text}
		if kind&1 != 0 {
			err = &net.DNSError{Name: name, Server: text, Err: text, IsTimeout: kind&2 != 0}
		}
		if kind&4 != 0 {
			err = &net.OpError{Op: op, Net: network, Addr: path(text), Err: err}
		}
		if kind&8 != 0 {
			err = fmt.Errorf("%s: %w", text, err)
		}
		if kind&16 != 0 {
			err = &url.Error{Op: op, URL: text, Err: err}
		}
		if kind&32 != 0 {
			err = errors.Join(errors.New(text), err)
		}
		made := s.Transport(err)
		if len(text) >= shortest && strings.Contains(made.Error(), text) && !strings.Contains(Mark, text) &&
			!strings.Contains(fmt.Sprintf("lookup : the name server failed timeout %T %T", err, &teller{}), text) {
			t.Fatalf("%q is in %q", text, made)
		}
		if !errors.Is(made, err) {
			t.Fatal("the error has lost its identity")
		}
	})
}

// The texts of net/http that are taken for what they mean are those that it makes.
func TestMeanings(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	answers := make(chan string, 1)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 1<<10))
			io.WriteString(conn, <-answers)
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	transport := &http.Transport{MaxResponseHeaderBytes: 1000, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	for answer, want := range map[string]string{
		"SSH-2.0-OpenSSH_9.9\r\n":                                         "the answer is not HTTP",
		"HTTP/1.1 what\r\n\r\n":                                           "the answer is not HTTP",
		"HTTP/1.1 200 OK\r\nno header\r\n\r\n":                            "the answer is not HTTP",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\n": "the header of the answer is too large",
		"": "EOF",
	} {
		answers <- answer
		_, err := client.Get("http://" + ln.Addr().String() + "/?" + unsafe)
		var s Secrets
		if err == nil || s.Transport(err).Error() != want {
			t.Errorf("%.30q: %q for %v, want %q", answer, s.Transport(err), err, want)
		}
	}
}
