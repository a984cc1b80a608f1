package sigv4

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/apigws/apigws"
)

// reasons are what AWS says when it refuses a signature, and what that means.
// The messages are those of the knowledge center article "How do I
// troubleshoot HTTP 403 errors from API Gateway?", of SigV4's own
// troubleshooting page, and of captures.
var reasons = []struct{ says, means string }{
	{"Missing Authentication Token", "the gateway found no signature, or has no such stage or route"},
	{"Signature expired", "the signature is too old: the clock of this machine is slow, or the URL was presigned long ago"},
	{"Signature not yet current", "the signature is from the future: the clock of this machine is fast"},
	{"Credential should be scoped", "the signature is for another region or service than that of the API: set sigv4.Options.Region"},
	{"security token included in the request is expired", "the credentials have expired"},
	{"security token included in the request is invalid", "the access key is unknown, or the session token is not the one that belongs to it"},
	{"signature we calculated does not match", "the secret key is wrong, or host, path or query were changed after signing: see sigv4.Options.Host"},
	{"not authorized to perform", "the signature is good, and no policy allows execute-api:Invoke on the route $connect"},
	{"not authorized to access", "the signature is good, and an authorizer or a resource policy denies access"},
}

// Explain says what is probably wrong when the gateway refuses a signed
// handshake: err holds an *apigws.HandshakeError with status 401 or 403, as
// errors of Dial, Client.Err and StateChange do. For other errors it returns
// "". Call it at once: it compares the date of the answer with the clock.
//
// It quotes nothing of the answer, whose body may hold the session token.
func Explain(err error) string { return explain(err, time.Now()) }

func explain(err error, now time.Time) string {
	var refused *apigws.HandshakeError
	if !errors.As(err, &refused) ||
		refused.StatusCode != http.StatusUnauthorized && refused.StatusCode != http.StatusForbidden {
		return ""
	}
	// A wrong clock is looked for first: it explains many of the messages.
	if date, err := http.ParseTime(refused.Header.Get("Date")); err == nil {
		if off := now.Sub(date).Round(time.Second); off.Abs() >= tolerance {
			return fmt.Sprintf("the clock of this machine says %s, and that of the gateway %s: AWS tolerates %v",
				stamp(now), stamp(date), tolerance)
		}
	}
	for _, reason := range reasons {
		if bytes.Contains(refused.Body, []byte(reason.says)) {
			return reason.means
		}
	}
	return "the gateway gives no reason that points to the signature: it may be a policy, a Lambda authorizer, WAF, " +
		"a wrong stage, or an API deployed minutes ago"
}
