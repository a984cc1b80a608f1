// Command awsjs serves the fake gateway over TLS for client.mjs, which run.sh starts: it writes the
// certificate to the file that its argument names, then prints the URL of the management API, and
// ends when its standard input does.
package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/apigws/apigws/gatewaytest"
)

func main() {
	// The backend tells each client its connectionId, which nothing else does.
	s := gatewaytest.NewTLSServer(&gatewaytest.Config{
		Routes: map[string]gatewaytest.Handler{"$default": connectionID}, RouteResponse: true,
	})
	defer s.Close()
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}
	if err := os.WriteFile(os.Args[1], pem.EncodeToMemory(block), 0o600); err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.ManagementURL)
	io.Copy(io.Discard, os.Stdin)
}

func connectionID(_ context.Context, ev *gatewaytest.Event) (*gatewaytest.Response, error) {
	return &gatewaytest.Response{StatusCode: 200, Body: ev.RequestContext.ConnectionID}, nil
}
