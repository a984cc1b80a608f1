package gatewaytest_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/apigws/apigws/gatewaytest"
)

// A client of its own trusts the certificate, by address and as localhost, for a long time.
func TestCertificate(t *testing.T) {
	s := gatewaytest.NewTLSServer(nil)
	defer s.Close()
	cert := s.Certificate()
	if left := time.Until(cert.NotAfter); left < 300*24*time.Hour {
		t.Errorf("good for %v", left)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	u, err := url.Parse(s.ManagementURL)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{u.Host, "localhost:" + u.Port()} {
		resp, err := (&http.Client{Transport: transport}).Get("https://" + host + "/prod")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	plain := gatewaytest.NewServer(nil)
	defer plain.Close()
	if plain.Certificate() != nil || !strings.HasPrefix(plain.URL, "ws:") {
		t.Error("a Server without TLS has a certificate")
	}
}

func TestObserveUserAgent(t *testing.T) {
	var got string
	cfg := &gatewaytest.Config{Observe: func(o gatewaytest.Observation) { got += o.UserAgent }}
	bubble(t, cfg, func(t *testing.T, s *gatewaytest.Server) {
		d := dialer(s)
		d.Header = ws.HandshakeHeaderHTTP{"User-Agent": {"me"}}
		conn, _, _, err := d.Dial(t.Context(), s.URL)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		s.Close()
		if got != "me" {
			t.Errorf("got %q", got)
		}
	})
}
