// Command apigws works with WebSocket APIs of Amazon API Gateway from a terminal: it connects to
// one, measures one, serves one on your machine, and computes what keepalive costs.
//
//	go install github.com/apigws/apigws/cmd/apigws@latest
//	apigws help
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
