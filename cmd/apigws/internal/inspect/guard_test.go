package inspect

import (
	"strings"
	"testing"

	"github.com/apigws/apigws/gatewaytest"
)

func TestGuard(t *testing.T) {
	f := start(t)
	own := strings.TrimSuffix(strings.TrimPrefix(f.inspector.URL, "http://"), "/")
	_, port, _ := strings.Cut(own, ":")
	for _, tt := range []struct {
		name, method string
		header       []string
		want         int
	}{
		{"the page itself", "GET", []string{"Origin", "http://" + own, "Sec-Fetch-Site", "same-origin"}, 200},
		{"a script", "GET", nil, 200},
		{"typed into the address bar", "GET", []string{"Sec-Fetch-Site", "none"}, 200},
		{"localhost", "GET", []string{"Host", "localhost:" + port}, 200},
		{"IPv6", "GET", []string{"Host", "[::1]:" + port}, 200},
		{"without a port", "GET", []string{"Host", "127.0.0.1"}, 200},
		{"DNS rebinding", "GET", []string{"Host", "attacker.example:" + port}, 403},
		{"DNS rebinding, the same origin", "POST", []string{"Host", "a.example:" + port, "Origin", "http://a.example:" + port, "X-Apigws", "1"}, 403},
		{"a name that begins like localhost", "GET", []string{"Host", "localhost.attacker.example"}, 403},
		{"another address", "GET", []string{"Host", "192.0.2.1:" + port}, 403},
		{"another origin", "GET", []string{"Origin", "https://attacker.example"}, 403},
		{"another port of this machine", "POST", []string{"Origin", "http://127.0.0.1:1", "X-Apigws", "1"}, 403},
		{"no origin to tell", "POST", []string{"Origin", "null", "X-Apigws", "1"}, 403},
		{"another site without Origin", "GET", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another host of the site", "GET", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"a form", "POST", nil, 403},
		{"a preflight", "OPTIONS", []string{"Access-Control-Request-Headers", "X-Apigws"}, 403},
		{"an action of a script", "POST", []string{"X-Apigws", "1"}, 204},
		{"an action of the page", "POST", []string{"X-Apigws", "page", "Origin", "http://" + own, "Sec-Fetch-Site", "same-origin"}, 204},
	} {
		path := "api/state"
		if tt.method == "POST" {
			path = "api/refuse"
		}
		if status, body := f.do(tt.method, path, `{"count": 0}`, tt.header...); status != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, status, body, tt.want)
		}
	}
}

func TestAddress(t *testing.T) {
	gateway := gatewaytest.NewServer(nil)
	defer gateway.Close()
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "devbox:0"} {
		if i, err := Start(gateway, NewRecorder(), Options{Addr: addr}); err == nil || !strings.Contains(err.Error(), "--inspect-host") {
			t.Errorf("%s: %v, %v", addr, i, err)
		}
	}
	for _, addr := range []string{"nonsense", "127.0.0.1:99999"} {
		if _, err := Start(gateway, NewRecorder(), Options{Addr: addr}); err == nil {
			t.Errorf("%s: no error", addr)
		}
	}
	all, err := Start(gateway, NewRecorder(), Options{Addr: "0.0.0.0:0", AllowHosts: []string{"devbox.example"}})
	if err != nil {
		t.Fatal(err)
	}
	all.Close()
	if !strings.HasPrefix(all.URL, "http://devbox.example:") {
		t.Errorf("on all interfaces: %s", all.URL)
	}
	i, err := Start(gateway, NewRecorder(), Options{Addr: "127.0.0.1:0", AllowHosts: []string{"devbox.example"}})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	f := &fixture{T: t, inspector: i}
	for host, want := range map[string]int{"DevBox.example:4040": 200, "localhost": 200, "other.example": 403} {
		if status, _ := f.do("GET", "api/state", "", "Host", host); status != want {
			t.Errorf("Host %s: %d, want %d", host, status, want)
		}
	}
}
