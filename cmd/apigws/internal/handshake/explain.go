package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/sigv4"
)

// Explain returns err, of connecting to rawURL with f, with an exit code and with what to do about
// it.
func (f *Flags) Explain(err error, rawURL string) error {
	var (
		coded   *cli.Error
		option  *apigws.OptionError
		refused *apigws.HandshakeError
	)
	switch {
	case errors.As(err, &coded):
		return err
	case errors.As(err, &option):
		return &cli.Error{Code: cli.Usage, Err: errors.New(optionText(option)), Hint: optionHint(option)}
	}
	text, hint := Text(err), networkHint(err, rawURL)
	if errors.As(err, &refused) && refused.StatusCode != 0 && refused.Err == nil {
		text = fmt.Sprintf("the gateway refused the handshake: %d %s", refused.StatusCode, http.StatusText(refused.StatusCode))
		hint = f.statusHint(err, refused.StatusCode, rawURL)
	}
	if errors.Is(err, context.DeadlineExceeded) { // of --timeout; err has the last failure, too
		text = "no connection in time: " + strings.TrimPrefix(text, context.DeadlineExceeded.Error()+": ")
	}
	return &cli.Error{Code: cli.NotConnected, Err: errors.New(text), Hint: hint}
}

// Text is the text of an error of the library without the library's own prefixes.
func Text(err error) string {
	return strings.TrimPrefix(strings.ReplaceAll(err.Error(), "apigws: ", ""), "client is closed: ")
}

func optionHint(e *apigws.OptionError) string {
	if e.Field == "sigv4.Options.Region" {
		return "Give the API's own Region with --region, AWS_REGION or the profile."
	}
	return ""
}

// statusHint says what a refusal is probably about. Docs/gateway.md has the sources.
func (f *Flags) statusHint(err error, status int, rawURL string) string {
	switch {
	case (status == http.StatusUnauthorized || status == http.StatusForbidden) && f.Signed():
		return "Probably " + sigv4.Explain(err) + "."
	case status == http.StatusUnauthorized:
		return `The API's authorizer did not find, or did not accept, who you are. It reads a header or the query:
    -H "Authorization: Bearer ..."    or    "wss://.../stage?token=..."
--header-command gets a fresh token before each handshake.`
	case status == http.StatusForbidden:
		return `What 403 means depends on the API:
    IAM authorization                 --iam
    an API key                        -H "x-api-key: ..."
    a Lambda authorizer that denies   -H "Authorization: ...", or what it reads
    a wrong path                      ` + pathHint(rawURL) + `
    an API deployed minutes ago       wait, and try again`
	case status == http.StatusNotFound:
		return "No API is there, or its $connect integration answers 404. " + pathHint(rawURL)
	case status == http.StatusTooManyRequests:
		return "The account's quota of new connections (AWS: 500 a second) or the stage's throttle is used up."
	case status >= 500:
		return "The $connect integration or the authorizer failed: its log in CloudWatch says why."
	case status >= 300 && status < 400:
		return "The gateway itself never redirects: is the host a proxy or a web site?"
	}
	return "The gateway passes on the status of the $connect integration: its log says why."
}

// pathHint says what the path of the URL should be.
func pathHint(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err == nil && strings.Trim(u.Path, "/") == "" {
		return "the URL has no path: it is the stage, as in " + u.Scheme + "://" + u.Host + "/prod"
	}
	return "it is the stage, as in /prod; on a custom domain the mapping"
}

func networkHint(err error, rawURL string) string {
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		record    tls.RecordHeaderError
		refused   *apigws.HandshakeError
	)
	u, parseErr := url.Parse(rawURL)
	if parseErr != nil {
		u = &url.URL{}
	}
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "No such host: check the API id and the Region in the URL."
	case errors.As(err, &authority):
		return "No trusted authority has signed the certificate. --ca FILE trusts that of a private authority, or of\n" +
			"\"apigws gateway --tls\"."
	case errors.As(err, &hostname):
		return "The certificate is for another host: dial that one."
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "The server does not speak TLS: ws:// may be meant."
	case errors.Is(err, syscall.ECONNREFUSED) && isLoopback(u.Hostname()):
		return "Nothing listens there. \"apigws gateway\" serves an API on this machine."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Nothing listens there: check host and port."
	case errors.As(err, &refused) && refused.StatusCode != 0:
		return "Something answered that does not speak WebSocket: check host and path."
	case errors.Is(err, context.DeadlineExceeded):
		return "--timeout gives it longer."
	}
	return ""
}

// checkURL says what is wrong with a URL before anything is dialled, without its query.
func checkURL(raw string, allowInsecure bool) error {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		rest = raw
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, hasQuery := strings.Cut(rest, "?")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if hasQuery {
		rest += "?..."
	}
	try := "Try: wss://" + rest
	if host, _, _ := strings.Cut(rest, "/"); isLoopback(hostOf(host)) {
		try = "Try: ws://" + rest
	}
	switch {
	case raw == "":
		return &cli.Error{Code: cli.Usage, Err: errors.New("the URL is empty")}
	case !ok:
		return &cli.Error{Code: cli.Usage, Err: errors.New("the URL has no scheme"), Hint: try}
	case scheme != "ws" && scheme != "wss":
		return &cli.Error{Code: cli.Usage, Err: fmt.Errorf("the scheme %s:// is not that of a WebSocket", scheme), Hint: try}
	}
	u, err := url.Parse(raw)
	if err != nil { // its text holds the URL
		return &cli.Error{Code: cli.Usage, Err: errors.New("the URL cannot be parsed")}
	}
	if scheme == "ws" && !allowInsecure && !isLoopback(u.Hostname()) {
		return &cli.Error{Code: cli.Usage, Err: errors.New("ws:// to another machine sends everything in the clear"),
			Hint: try + "\nAPI Gateway takes nothing else. --allow-insecure permits ws:// all the same."}
	}
	return nil
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

func isLoopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
