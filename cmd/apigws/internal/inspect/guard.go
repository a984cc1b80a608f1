package inspect

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// A guard lets nobody in but the page itself and programs on this machine. A web page of somebody
// else must neither read what the inspector knows nor do anything, whatever name it has made point
// here.
//
//   - The Host header must be a name of the loopback interface, or one of hosts: with DNS
//     rebinding it is the attacker's.
//   - Origin, where there is one, must be the inspector's own, and Sec-Fetch-Site must not tell of
//     another site.
//   - What changes something must have the header X-Apigws, which no page of another origin can set
//     without a preflight, and preflights are not answered.
type guard struct{ hosts []string }

func (g guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "+
			"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if why := g.objection(r); why != "" {
			fail(w, http.StatusForbidden, why)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// objection returns why a request is not served, or "".
func (g guard) objection(r *http.Request) string {
	if !g.knows(r.Host) {
		return "Host is not a name of the inspector: see --inspect-host"
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
		return "Origin is not the inspector's own"
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return "the request comes from another site"
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get("X-Apigws") == "" {
		return "the header X-Apigws is missing: set it to anything"
	}
	return ""
}

func (g guard) knows(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport // without a port
	}
	return loopback(strings.Trim(host, "[]")) ||
		slices.ContainsFunc(g.hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// loopback reports whether a host is this machine, without asking DNS.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
