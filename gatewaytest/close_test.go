package gatewaytest_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/apigws/apigws/gatewaytest"
)

// When Close returns, no goroutine of the Server is left: not those of handshakes that are half
// made, and not those of sockets that backends keep for further requests to @connections.
func TestCloseLeavesNothing(t *testing.T) {
	for name, start := range map[string]func(*gatewaytest.Config) *gatewaytest.Server{
		"TCP": gatewaytest.NewServer, "TLS": gatewaytest.NewTLSServer, "memory": gatewaytest.NewInMemory,
	} {
		t.Run(name, func(t *testing.T) {
			rounds := 100
			if name == "TCP" {
				rounds = 1000
			}
			for round := range rounds {
				s := start(nil)
				for _, begun := range []string{"", "GET /pr", "GET /prod HTTP/1.1\r\nHost: x\r\n"} {
					conn := rawDial(t, s)
					defer conn.Close()
					io.WriteString(conn, begun)
				}
				call(t, s, "GET", "/@connections/JC1dgf9yoAMCK-g=", "") // keeps its socket
				s.Close()
				if left := serving(); left != "" {
					t.Fatalf("round %d: %s", round, left)
				}
			}
		})
	}
}

// serving returns the stacks of goroutines in the package, but for tests and their clients.
func serving() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var found []string
	for g := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(g, "gatewaytest.") && !strings.Contains(g, "testing.tRunner(") && !strings.Contains(g, "persistConn") {
			found = append(found, g)
		}
	}
	return strings.Join(found, "\n\n")
}

// rawDial connects to a Server and sends nothing.
func rawDial(t *testing.T, s *gatewaytest.Server) net.Conn {
	t.Helper()
	dial := s.Client().Transport.(*http.Transport).DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial(context.Background(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// What the Server makes of requests that no client of net/http would send.
func TestRawRequests(t *testing.T) {
	s := gatewaytest.Run(t, nil)
	const gone = "/prod/@connections/JC1dgf9yoAMCK-g="
	for name, test := range map[string]struct {
		request string
		want    []int // statuses; then the connection is closed
	}{
		"no HTTP":       {"hello\r\n\r\n", []int{400}},
		"half a header": {"GET / HTTP/1.1\r\nHost", []int{400}},
		"HTTP/1.0":      {"GET " + gone + " HTTP/1.0\r\n\r\n", []int{410}},
		"close": {"GET " + gone + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" +
			"GET " + gone + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{410}},
		"two at once": {"GET " + gone + " HTTP/1.1\r\nHost: x\r\n\r\n" +
			"GET " + gone + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{410, 410}},
		"a body nobody reads": {"PUT /other HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" +
			"GET " + gone + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{403, 410}},
		"too large a body": {"POST " + gone + " HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n" +
			strings.Repeat("x", 8<<20), []int{413}},
		"a chunked body": {"POST " + gone + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" +
			"GET " + gone + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{410, 410}},
		"100-continue": {"POST " + gone + " HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
			[]int{100, 410}},
		"HEAD": {"HEAD /other HTTP/1.1\r\nHost: x\r\n\r\n" + "GET " + gone + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{403, 410}},
	} {
		t.Run(name, func(t *testing.T) {
			conn := rawDial(t, s)
			defer conn.Close()
			go func() {
				io.WriteString(conn, test.request)
				conn.(*net.TCPConn).CloseWrite()
			}()
			in := bufio.NewReader(conn)
			for _, want := range test.want {
				method := strings.Fields(test.request)[0]
				resp, err := http.ReadResponse(in, &http.Request{Method: method})
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				if resp.StatusCode != want {
					t.Errorf("%s, want %d", resp.Status, want)
				}
			}
			if resp, err := http.ReadResponse(in, nil); err == nil {
				t.Errorf("one more answer: %s", resp.Status)
			}
		})
	}
	t.Run("too long a header", func(t *testing.T) {
		conn := rawDial(t, s)
		defer conn.Close()
		go io.WriteString(conn, "GET /other HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 2<<20)+"\r\n\r\n")
		// The reset that follows may take the answer with it.
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil && resp.StatusCode != 400 {
			t.Errorf("%s, want 400", resp.Status)
		}
	})
	t.Run("plain HTTP to TLS", func(t *testing.T) {
		conn := rawDial(t, gatewaytestTLS(t))
		defer conn.Close()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if b, _ := io.ReadAll(conn); !strings.HasPrefix(string(b), "HTTP/1.0 400") {
			t.Errorf("%q", b)
		}
	})
}

func gatewaytestTLS(t *testing.T) *gatewaytest.Server {
	s := gatewaytest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	return s
}
