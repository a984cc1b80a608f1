package sigv4_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/sigv4"
	"github.com/aws/aws-sdk-go-v2/aws"
)

// A service takes its credentials from its environment, with
// config.LoadDefaultConfig of the AWS SDK: cfg.Credentials.
var credentials = aws.Credentials{
	AccessKeyID:     "AKIAIOSFODNN7EXAMPLE",
	SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}

var provider = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil })

func ExamplePrepare() {
	// A fake gateway that demands signatures.
	verifier := &sigv4.Verifier{Region: "eu-west-1", Credentials: []aws.Credentials{credentials}}
	gw := gatewaytest.NewServer(&gatewaytest.Config{Authorize: verifier.Authorize})
	defer gw.Close()

	ctx := context.Background()
	c, err := apigws.Dial(ctx, gw.URL, &apigws.Options{
		// With the host of a real API, the region is read from it.
		Prepare: sigv4.Prepare(provider, &sigv4.Options{Region: "eu-west-1"}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.Write(ctx, []byte("signed and sealed")); err != nil {
		log.Fatal(err)
	}
	message, err := c.Read(ctx)
	fmt.Println(string(message), err)
	// Output: signed and sealed <nil>
}

// To add to the URL what the $connect integration wants to see, and then sign
// all of it.
func ExamplePrepare_query() {
	sign := sigv4.Prepare(provider, nil)
	opts := &apigws.Options{
		Prepare: func(req *http.Request) error {
			query := req.URL.Query()
			query.Set("room", "lobby")
			req.URL.RawQuery = query.Encode()
			return sign(req)
		},
	}

	req, _ := http.NewRequest(http.MethodGet, "https://abc123.execute-api.eu-west-1.amazonaws.com/prod", nil)
	fmt.Println(opts.Prepare(req), req.URL.RawQuery)
	fmt.Println(slices.Sorted(maps.Keys(req.Header)))
	// Output:
	// <nil> room=lobby
	// [Authorization X-Amz-Date]
}

// A service hands a browser the URL to connect to.
func ExamplePresign() {
	signed, err := sigv4.Presign(context.Background(), provider, "wss://abc123.execute-api.eu-west-1.amazonaws.com/prod", nil)
	if err != nil {
		log.Fatal(err)
	}
	u, _ := url.Parse(signed)
	fmt.Println(u.Scheme, u.Host, u.Path)
	for _, name := range slices.Sorted(maps.Keys(u.Query())) {
		fmt.Println(name)
	}
	// Output:
	// wss abc123.execute-api.eu-west-1.amazonaws.com /prod
	// X-Amz-Algorithm
	// X-Amz-Credential
	// X-Amz-Date
	// X-Amz-Expires
	// X-Amz-Signature
	// X-Amz-SignedHeaders
}

func ExampleVerifier() {
	plain := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{} // to be the same each time
		}
		return a
	}})
	verifier := &sigv4.Verifier{Region: "us-east-1", Credentials: []aws.Credentials{credentials}, Logger: slog.New(plain)}
	gw := gatewaytest.NewServer(&gatewaytest.Config{Authorize: verifier.Authorize})
	defer gw.Close()

	_, err := apigws.Dial(context.Background(), gw.URL, &apigws.Options{
		Prepare:   sigv4.Prepare(provider, &sigv4.Options{Region: "eu-west-1"}),
		Reconnect: apigws.Reconnect{Disabled: true}, // one attempt
	})
	fmt.Println(err)
	// Output:
	// level=WARN msg="signature refused" method=GET path=/prod error="sigv4: wrong region: signed for \"eu-west-1\", and the API is in us-east-1"
	// apigws: handshake refused: 403 Forbidden
}

func ExampleExplain() {
	// What the gateway of another region answers.
	err := error(&apigws.HandshakeError{
		StatusCode: 403,
		Body:       []byte(`{"message":"Credential should be scoped to a valid region, not 'us-east-1'. "}`),
	})
	fmt.Println(err)
	fmt.Println(sigv4.Explain(err))
	// Output:
	// apigws: handshake refused: 403 Forbidden
	// the signature is for another region or service than that of the API: set sigv4.Options.Region
}
