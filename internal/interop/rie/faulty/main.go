// Command faulty is a Lambda function that goes wrong in the way that a message asks for.
package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.Start(handle) }

func handle(_ context.Context, ev events.APIGatewayWebsocketProxyRequest) (any, error) {
	switch ev.Body {
	case "error":
		return nil, errors.New("out of order")
	case "panic":
		panic("out of order")
	case "exit":
		os.Exit(1)
	case "hang":
		time.Sleep(time.Hour) // the emulator ends it
	case "malformed":
		return "no proxy response", nil
	}
	return events.APIGatewayProxyResponse{StatusCode: 200, Body: "fine"}, nil
}
