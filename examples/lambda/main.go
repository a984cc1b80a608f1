// Command lambda is a backend for API Gateway as it is deployed to AWS Lambda. It knows nothing of
// gatewaytest; the test beside it runs it behind the fake gateway, unchanged:
//
//	cd examples/lambda && go test
//
// It is one function on the routes $connect, $disconnect, sum and $default, of which sum and
// $default have route responses. It is a module of its own, so that the library does without AWS's
// packages.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(handle)
}

func handle(_ context.Context, ev events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
	switch ev.RequestContext.RouteKey {
	case "$connect":
		if ev.QueryStringParameters["token"] != "secret" {
			return reply(http.StatusUnauthorized, ""), nil
		}
		return reply(http.StatusOK, ""), nil
	case "$disconnect":
		fmt.Printf("%s left with %d\n", ev.RequestContext.ConnectionID, ev.RequestContext.DisconnectStatusCode)
		return reply(http.StatusOK, ""), nil
	case "sum":
		var in struct{ Terms []int }
		if err := json.Unmarshal([]byte(ev.Body), &in); err != nil {
			return events.APIGatewayProxyResponse{}, err // the client gets "Internal server error"
		}
		sum := 0
		for _, n := range in.Terms {
			sum += n
		}
		return reply(http.StatusOK, fmt.Sprintf(`{"sum":%d}`, sum)), nil
	default:
		return reply(http.StatusOK, `{"error":"what?"}`), nil
	}
}

func reply(status int, body string) events.APIGatewayProxyResponse {
	return events.APIGatewayProxyResponse{StatusCode: status, Body: body}
}
