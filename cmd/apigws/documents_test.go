package main

// The Go code of docs/iam.md: this is the module that has AWS's configuration among its own.

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"testing"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/sigv4"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

func dialSigned(ctx context.Context, url string) (*apigws.Client, error) {
	cfg, err := config.LoadDefaultConfig(ctx) // github.com/aws/aws-sdk-go-v2/config
	if err != nil {
		return nil, err
	}
	return apigws.Dial(ctx, url, &apigws.Options{
		Prepare: sigv4.Prepare(cfg.Credentials, nil),
	})
}

func presign(ctx context.Context, url string) (string, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return "", err
	}
	return sigv4.Presign(ctx, cfg.Credentials, url, nil)
}

func logRefusal(err error) {
	if why := sigv4.Explain(err); why != "" {
		log.Printf("%v: %s", err, why)
	}
}

func TestDocumentedSigning(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	v := &sigv4.Verifier{
		Region:      "eu-west-1",
		Credentials: []aws.Credentials{{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}},
		Logger:      slog.New(slog.NewTextHandler(t.Output(), nil)), // says why it refused
	}
	gw := gatewaytest.Run(t, &gatewaytest.Config{Authorize: v.Authorize, AuthorizeManagement: v.Authorize})

	// The address of the fake gateway names no region.
	_, err := dialSigned(t.Context(), gw.URL)
	if err == nil || !strings.Contains(err.Error(), "Region is needed") {
		t.Error(err)
	}
	logRefusal(err)
	signed, err := presign(t.Context(), "wss://abc123.execute-api.eu-west-1.amazonaws.com/prod")
	if err != nil || !strings.Contains(signed, "X-Amz-Signature=") {
		t.Error(signed, err)
	}
}
