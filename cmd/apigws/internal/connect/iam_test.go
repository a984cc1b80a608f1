package connect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/sigv4"
)

const (
	testKey    = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// awsProfile makes the SDK find the credentials of a profile "dev" and nothing else.
func awsProfile(t *testing.T, secret string) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config")
	text := "[profile dev]\nregion = eu-west-1\naws_access_key_id = " + testKey + "\naws_secret_access_key = " + secret + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": file, "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "none"), "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "",
		"AWS_DEFAULT_REGION": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "",
	} {
		t.Setenv(name, value)
	}
}

// iamGateway is a gateway that lets in what testKey has signed.
func iamGateway() *gatewaytest.Config {
	verifier := &sigv4.Verifier{
		Region:      "eu-west-1",
		Credentials: []aws.Credentials{{AccessKeyID: testKey, SecretAccessKey: testSecret}},
	}
	return &gatewaytest.Config{Authorize: verifier.Authorize}
}

func TestIAMSignsEachHandshake(t *testing.T) {
	awsProfile(t, testSecret)
	bubble(t, iamGateway(), func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) { c.handshake.Profile = "dev" })
		p.write(t, "before\n")
		time.Sleep(time.Hour) // a signature lasts for minutes
		gw.Conns()[0].Drop()
		time.Sleep(time.Minute)
		p.write(t, "after\n")
		if code := p.end(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.errs.String())
		}
		if got, want := p.out.String(), "before\nafter\n"; got != want {
			t.Errorf("standard output %q, want %q", got, want)
		}
	})
}

func TestIAMFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		secret string
		change func(*config)
		code   int
		want   string
	}{
		{"no signature", testSecret, func(*config) {}, cli.NotConnected, "IAM authorization                 --iam"},
		{"wrong key", "another secret", func(c *config) { c.handshake.Profile = "dev" }, cli.NotConnected, "Probably the gateway gives no reason"},
		{"no such profile", testSecret, func(c *config) { c.handshake.Profile = "prod" }, cli.Failed, "AWS_PROFILE or --profile"},
		{"no credentials", testSecret, func(c *config) { c.handshake.Region = "eu-west-1" }, cli.Failed, "no AWS credentials"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			awsProfile(t, tt.secret)
			bubble(t, iamGateway(), func(t *testing.T, gw *gatewaytest.Server) {
				p := start(t, gw, tt.change)
				if code := p.code(<-p.result); code != tt.code {
					t.Errorf("exit code %d, want %d", code, tt.code)
				}
				p.wantErr(t, tt.want)
				if strings.Contains(p.errs.String(), tt.secret) {
					t.Errorf("the secret key is in standard error:\n%s", p.errs.String())
				}
			})
		})
	}
}

// The host of a custom domain names no Region.
func TestIAMNeedsRegion(t *testing.T) {
	awsProfile(t, testSecret)
	t.Setenv("AWS_ACCESS_KEY_ID", testKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
	bubble(t, iamGateway(), func(t *testing.T, gw *gatewaytest.Server) {
		p := start(t, gw, func(c *config) { c.handshake.IAM = true })
		if code := p.code(<-p.result); code != cli.Usage {
			t.Errorf("exit code %d, want 2", code)
		}
		p.wantErr(t, "--region is needed", "AWS_REGION")
	})
}
