package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/sigv4"
	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// The in-memory gateway answers to every host, so the real form of it is used.
const (
	apiHost = "abc123.execute-api.eu-west-1.amazonaws.com"
	apiURL  = "ws://" + apiHost + "/prod"
)

// A role hands out temporary credentials that last an hour, as an instance
// profile does, and lets a verifier know them.
type role struct {
	verifier *sigv4.Verifier
	mu       sync.Mutex
	current  aws.Credentials
	issued   int
}

func (r *role) Retrieve(ctx context.Context) (aws.Credentials, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current.Expired() || r.issued == 0 {
		r.issued++
		r.current = aws.Credentials{
			AccessKeyID:     fmt.Sprintf("ASIA%d", r.issued),
			SecretAccessKey: fmt.Sprintf("secret-key-%d", r.issued),
			SessionToken:    fmt.Sprintf("session-token-%d", r.issued),
			CanExpire:       true,
			Expires:         time.Now().Add(time.Hour),
		}
	}
	return r.current, ctx.Err()
}

// authorize is a Config.Authorize that knows the credentials of the role.
func (r *role) authorize(req *http.Request) int {
	r.mu.Lock()
	v := *r.verifier
	v.Credentials = []aws.Credentials{r.current}
	r.mu.Unlock()
	return v.Authorize(req)
}

// Through a day of breaks and rotations, every handshake carries a signature
// of its own moment, by credentials that are good at that moment.
func TestEachHandshakeIsSignedAfresh(t *testing.T) {
	for _, inQuery := range []bool{false, true} {
		t.Run(fmt.Sprintf("query=%v", inQuery), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				type handshake struct {
					at   time.Time
					date string
				}
				var handshakes []handshake // written by one handshake after the other
				iam := &role{verifier: &sigv4.Verifier{Region: "eu-west-1", Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}}
				gw := gatewaytest.NewInMemory(&gatewaytest.Config{Authorize: func(r *http.Request) int {
					date := r.Header.Get("X-Amz-Date")
					if inQuery {
						date = r.URL.Query().Get("X-Amz-Date")
						if r.Header.Get("Authorization") != "" {
							t.Error("signed in the header too")
						}
					}
					handshakes = append(handshakes, handshake{time.Now(), date})
					return iam.authorize(r)
				}})
				defer gw.Close()
				c, err := apigws.Dial(t.Context(), apiURL, &apigws.Options{
					HTTPClient:    gw.Client(),
					AllowInsecure: true,
					Prepare:       sigv4.Prepare(iam, &sigv4.Options{Query: inQuery}),
				})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour)
				defer cancel()
				const breaks = 16
				for i := range breaks {
					time.Sleep(90 * time.Minute) // the credentials have expired, the connection lives
					if i%2 == 0 {
						gw.Conns()[0].Drop()
						time.Sleep(time.Second) // at most half a second of backoff
					} else if err := c.Rotate(ctx); err != nil {
						t.Fatal(err)
					}
					if err := c.Write(ctx, []byte("hello")); err != nil {
						t.Fatal(err)
					}
				}
				if n := len(gw.Stats().Refused); n > 0 {
					t.Errorf("refusals: %v", gw.Stats().Refused)
				}
				if len(handshakes) != 1+breaks || iam.issued != 1+breaks {
					t.Errorf("%d handshakes and %d credentials, want %d", len(handshakes), iam.issued, 1+breaks)
				}
				for i, h := range handshakes {
					if want := h.at.UTC().Format("20060102T150405Z"); h.date != want {
						t.Errorf("handshake %d is signed at %s, want %s", i, h.date, want)
					}
				}
			})
		})
	}
}

// Each wrong way to sign ends Dial with the second refusal; the gateway's log
// says what was wrong.
func TestRefused(t *testing.T) {
	good := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "the-secret-key"}
	wrong := good
	wrong.SecretAccessKey = "another-secret-key"
	tests := []struct {
		name        string
		credentials aws.Credentials
		url         string
		opts        *sigv4.Options
		logged      string
	}{
		{"wrong key", wrong, apiURL, nil, "wrong signature"},
		{"wrong region", good, "ws://ws.example.com/prod", &sigv4.Options{Region: "us-east-1"}, "wrong region"},
		{"wrong host", good, "ws://ws.example.com/prod", &sigv4.Options{Host: apiHost}, "wrong signature"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log, clientLog bytes.Buffer
				v := &sigv4.Verifier{
					Region:      "eu-west-1",
					Credentials: []aws.Credentials{good},
					Logger:      slog.New(slog.NewTextHandler(&log, nil)),
				}
				gw := gatewaytest.NewInMemory(&gatewaytest.Config{Authorize: v.Authorize})
				defer gw.Close()
				_, err := apigws.Dial(t.Context(), test.url, &apigws.Options{
					HTTPClient:    gw.Client(),
					AllowInsecure: true,
					Logger:        slog.New(slog.NewTextHandler(&clientLog, &slog.HandlerOptions{Level: slog.LevelDebug})),
					Prepare:       sigv4.Prepare(provide(test.credentials), test.opts),
				})
				var refused *apigws.HandshakeError
				if !errors.As(err, &refused) || refused.StatusCode != http.StatusForbidden {
					t.Fatalf("%v, want a refusal", err)
				}
				if n := strings.Count(log.String(), test.logged); n != 2 {
					t.Errorf("the gateway's log, in which %q should be twice:\n%s", test.logged, &log)
				}
				// The fake gateway says no more than "Forbidden".
				if why := sigv4.Explain(err); !strings.Contains(why, "gives no reason") {
					t.Errorf("Explain: %q", why)
				}
				for _, secret := range []string{test.credentials.SecretAccessKey, "Signature=", "Credential="} {
					if strings.Contains(err.Error()+clientLog.String()+log.String(), secret) {
						t.Errorf("%q in an error or a log", secret)
					}
				}
			})
		})
	}
}

// A wrong clock is found by the date of the answer: here the gateway's is an
// hour ahead, which in a bubble takes a proxy that says so.
func TestExplainClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := gatewaytest.NewInMemory(&gatewaytest.Config{Authorize: func(*http.Request) int { return http.StatusForbidden }})
		defer gw.Close()
		client := gw.Client()
		transport := client.Transport
		client.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := transport.RoundTrip(req)
			if err == nil {
				date, dateErr := http.ParseTime(resp.Header.Get("Date"))
				if dateErr != nil {
					t.Error(dateErr)
				}
				resp.Header.Set("Date", date.Add(time.Hour).Format(http.TimeFormat))
			}
			return resp, err
		})
		_, err := apigws.Dial(t.Context(), gw.URL, &apigws.Options{HTTPClient: client, AllowInsecure: true})
		// The year in which bubbles begin.
		want := "the clock of this machine says 2000-01-01T00:00:00Z, and that of the gateway 2000-01-01T01:00:00Z: AWS tolerates 5m0s"
		if got := sigv4.Explain(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// A mistake that no retry mends ends Dial without a handshake, although its
// context would let it try for ever; a provider that fails is asked again.
func TestPrepareErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := gatewaytest.NewInMemory(nil)
		defer gw.Close()
		opts := &apigws.Options{HTTPClient: gw.Client(), AllowInsecure: true}
		credentials := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "the-secret-key"}

		opts.Prepare = sigv4.Prepare(provide(credentials), nil)
		begun := time.Now()
		_, err := apigws.Dial(t.Context(), "ws://ws.example.com/prod", opts)
		var option *apigws.OptionError
		if !errors.As(err, &option) || option.Field != "sigv4.Options.Region" || !time.Now().Equal(begun) {
			t.Errorf("%v after %v, want an OptionError at once", err, time.Since(begun))
		}

		failures := 3
		opts.Prepare = sigv4.Prepare(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			if failures--; failures >= 0 {
				return aws.Credentials{}, errors.New("metadata service: timeout")
			}
			return credentials, nil
		}), nil)
		c, err := apigws.Dial(t.Context(), apiURL, opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if s := c.Stats(); s.ConnectErrors != 3 || s.Connects != 1 {
			t.Errorf("%d failures and %d connects, want 3 and 1", s.ConnectErrors, s.Connects)
		}
	})
}

// A presigned URL opens one connection, and nothing once it has expired.
func TestPresignedURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		credentials := aws.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "the-secret-key", SessionToken: "the/session/token=="}
		v := &sigv4.Verifier{Region: "eu-west-1", Credentials: []aws.Credentials{credentials}}
		gw := gatewaytest.NewInMemory(&gatewaytest.Config{Authorize: v.Authorize})
		defer gw.Close()
		url, err := sigv4.Presign(t.Context(), provide(credentials), apiURL+"?room=a+b", &sigv4.Options{Expires: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		opts := &apigws.Options{HTTPClient: gw.Client(), AllowInsecure: true}
		time.Sleep(time.Minute)
		c, err := apigws.Dial(t.Context(), url, opts)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		time.Sleep(time.Second)
		_, err = apigws.Dial(t.Context(), url, opts)
		var refused *apigws.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusForbidden {
			t.Errorf("an expired URL: %v, want 403", err)
		}
	})
}

// The verifier checks @connections as well.
func TestManagement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		credentials := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "the-secret-key"}
		v := &sigv4.Verifier{Region: "eu-west-1", Credentials: []aws.Credentials{credentials}}
		gw := gatewaytest.NewInMemory(&gatewaytest.Config{AuthorizeManagement: v.Authorize})
		defer gw.Close()
		c, err := apigws.Dial(t.Context(), apiURL, &apigws.Options{HTTPClient: gw.Client(), AllowInsecure: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()

		post := func(credentials aws.Credentials) int {
			url := "http://" + apiHost + "/prod/@connections/" + gw.Conns()[0].ID()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("pushed"))
			if err != nil {
				t.Fatal(err)
			}
			hash := sha256.Sum256([]byte("pushed"))
			err = v4.NewSigner().SignHTTP(t.Context(), credentials, req, hex.EncodeToString(hash[:]), "execute-api", "eu-west-1", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			resp, err := gw.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		if status := post(credentials); status != http.StatusOK {
			t.Errorf("signed: %d", status)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got, err := c.Read(ctx); string(got) != "pushed" {
			t.Errorf("read %q, %v", got, err)
		}
		credentials.SecretAccessKey = "another-secret-key"
		if status := post(credentials); status != http.StatusForbidden {
			t.Errorf("signed with another key: %d", status)
		}
	})
}

func provide(c aws.Credentials) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) { return c, ctx.Err() })
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
