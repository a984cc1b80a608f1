package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// Only what no other attempt can mend is told from the rest.
func TestUntrusted(t *testing.T) {
	for want, errs := range map[bool][]error{
		true: {
			http.ErrSchemeMismatch,
			tls.RecordHeaderError{},
			&tls.CertificateVerificationError{Err: errFailed},
			x509.HostnameError{Certificate: &x509.Certificate{}},
			x509.UnknownAuthorityError{},
			x509.CertificateInvalidError{Reason: x509.Expired},
		},
		false: {
			nil,
			io.EOF,
			errFailed,
			syscall.ECONNREFUSED,
			context.DeadlineExceeded,
			&net.OpError{Op: "dial", Err: errFailed},
			&net.OpError{Op: "remote error", Err: tls.AlertError(40)},
		},
	} {
		for _, err := range errs {
			if got := Untrusted(err); got != want {
				t.Errorf("%T: %v, want %v", err, got, want)
			}
			if err == nil {
				continue
			}
			if got := Untrusted(fmt.Errorf("step: %w", err)); got != want {
				t.Errorf("%T in another error: %v, want %v", err, got, want)
			}
		}
	}
}

// What net/http makes of a server that cannot be trusted is told as such.
func TestUntrustedServers(t *testing.T) {
	secureURL, transport := secure(t, accept)
	trusting := func(change func(*tls.Config)) *http.Transport {
		tr := transport.Clone()
		change(tr.TLSClientConfig)
		return tr
	}
	plain := "https" + server(t, accept)[len("http"):]
	for name, test := range map[string]struct {
		url       string
		transport *http.Transport
	}{
		"unknown authority": {secureURL, &http.Transport{}},
		"other name":        {secureURL, trusting(func(c *tls.Config) { c.ServerName = "other.example.org" })},
		"expired":           {secureURL, trusting(func(c *tls.Config) { c.Time = func() time.Time { return time.Now().AddDate(500, 0, 0) } })},
		"own verification": {secureURL, trusting(func(c *tls.Config) {
			c.InsecureSkipVerify = true
			c.VerifyConnection = func(cs tls.ConnectionState) error {
				_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: x509.NewCertPool()})
				return err
			}
		})},
		"plain HTTP":    {plain, transport},
		"not even HTTP": {speaking(t, "SSH-2.0-OpenSSH_9.9\r\n"), transport},
	} {
		if _, failure := get(t, test.url, test.transport); failure == nil || !Untrusted(failure.Err) {
			t.Errorf("%s: %+v", name, failure)
		}
	}
	refuses := trusting(func(c *tls.Config) {
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(tls.ConnectionState) error { return errors.New("not today") }
	})
	if _, failure := get(t, secureURL, refuses); failure == nil || Untrusted(failure.Err) {
		t.Errorf("a refusal in other words: %+v", failure)
	}
}

// speaking is the https URL of a server that speaks first, and not TLS.
func speaking(t *testing.T, text string) (rawURL string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, text)
		io.Copy(io.Discard, conn)
	}()
	return "https://" + listener.Addr().String()
}
