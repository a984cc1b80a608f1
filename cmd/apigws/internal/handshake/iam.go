package handshake

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/sigv4"
)

const credentialsHint = `Where credentials come from, in this order: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
AWS_PROFILE or --profile with ~/.aws (after "aws sso login", where the profile uses that), the
container's or the instance's role.`

// signer returns a function that signs handshakes with the credentials that the AWS SDK finds.
func signer(ctx context.Context, rawURL, profile, region string) (func(*http.Request) error, error) {
	// What the SDK logs is in its errors, too.
	load := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if profile != "" {
		load = append(load, config.WithSharedConfigProfile(profile))
	}
	if region != "" {
		load = append(load, config.WithRegion(region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, &cli.Error{Code: cli.Failed, Err: fmt.Errorf("AWS configuration: %w", err), Hint: credentialsHint}
	}
	// Credentials that cannot be had are told now: as a failed handshake they would be retried.
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, &cli.Error{Code: cli.Failed, Err: fmt.Errorf("no AWS credentials: %w", err), Hint: credentialsHint}
	}
	if region == "" && !namesRegion(rawURL) {
		region = cfg.Region // of the profile or of AWS_REGION
	}
	return sigv4.Prepare(cfg.Credentials, &sigv4.Options{Region: region}), nil
}

// namesRegion reports whether the host is one of AWS's own. Those name the Region of the API, which
// need not be the one in the configuration.
func namesRegion(rawURL string) bool {
	u, err := url.Parse(rawURL)
	return err == nil && strings.Contains(u.Hostname(), ".execute-api")
}
