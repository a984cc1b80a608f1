package apigws

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/apigws/apigws/internal/redact"
	"github.com/apigws/apigws/internal/session"
)

var (
	// ErrClosed is wrapped by the errors of a client that has ended, by Close or by a permanent
	// failure, which they wrap as well. Flush still reports losses with ErrUnconfirmed, and returns
	// nil if there are none.
	ErrClosed = errors.New("apigws: client is closed")

	// ErrNotSent is wrapped by an error of Write if nothing was sent that the gateway could
	// deliver: the message may be written again without a duplicate.
	ErrNotSent = errors.New("apigws: message not sent")

	// ErrUnconfirmed is wrapped by an error of Write, Flush or Close if a connection was lost with
	// messages on their way: they may have arrived or not.
	ErrUnconfirmed = errors.New("apigws: message sent, arrival unconfirmed")

	// ErrNoPong is wrapped if a PING was not answered: by the cause of a connection that the
	// keepalive has aborted, and by the errors of Flush and Dial where they depend on PONGs and the
	// gateway sends none.
	ErrNoPong = errors.New("apigws: no PONG")

	// ErrNotText is wrapped by an error of Write if the message is not valid UTF-8. API Gateway
	// carries text messages only.
	ErrNotText = errors.New("apigws: message is not valid UTF-8")

	// ErrWriteTimeout is wrapped by the cause of a connection that has taken no bytes of a write
	// for Options.WriteTimeout.
	ErrWriteTimeout error = session.ErrWriteTimeout

	// errUnread ends a wait for an acknowledgement that is behind more messages than the client
	// receives while nobody reads.
	errUnread = errors.New("apigws: the acknowledgement is behind messages that nobody reads")
)

// prefix begins the text of every error of this package. Inside of another such text it is left
// out.
const prefix = "apigws: "

// errorf is fmt.Errorf for errors of this package. The format has no prefix; what it wraps may
// have.
func errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &prefixed{prefix + bare(err), err}
}

type prefixed struct {
	text string
	err  error
}

func (e *prefixed) Error() string { return e.text }
func (e *prefixed) Unwrap() error { return e.err }

// bare returns the text of err without any prefix.
func bare(err error) string { return strings.ReplaceAll(err.Error(), prefix, "") }

// An endedError is the error of a client that has ended by a failure.
type endedError struct{ why error }

func (e *endedError) Error() string { return ErrClosed.Error() + ": " + bare(e.why) }

func (e *endedError) Is(target error) bool {
	return target == ErrClosed || errors.Is(e.why, target)
}

// As instead of Unwrap: a loop around Read that skips messages that are too large must end,
// although the client may have ended because a URL was.
func (e *endedError) As(target any) bool {
	if _, ok := target.(**TooLargeError); ok {
		return false
	}
	return errors.As(e.why, target)
}

// An OptionError says that Dial was called with an argument or an option that cannot work. Nothing
// was connected.
type OptionError struct {
	Field   string // "url", "Keepalive.Interval", ...
	Problem string
}

// Error returns a text with the field and the problem.
func (e *OptionError) Error() string {
	return fmt.Sprintf("apigws: %s %s", e.Field, e.Problem)
}

// A HandshakeError says that no connection came about. Its text holds neither the query string nor
// headers nor the body.
type HandshakeError struct {
	// StatusCode is the status of the answer; 0 when there was none. API Gateway passes the status
	// of the $connect integration through.
	StatusCode int
	// Header is the header of the answer.
	Header http.Header
	// Body is the beginning of the answer's body, at most 1 KiB.
	Body []byte
	// Err is what went wrong if there was no answer, or one that is not a WebSocket handshake.
	Err error
}

// Error returns a text with the status, and with what went wrong if that was not the status.
func (e *HandshakeError) Error() string {
	switch {
	case e.Err == nil:
		return strings.TrimSpace(fmt.Sprintf("apigws: handshake refused: %d %s", e.StatusCode, http.StatusText(e.StatusCode)))
	case e.StatusCode == 0:
		return "apigws: handshake: " + bare(e.Err)
	default:
		return fmt.Sprintf("apigws: handshake: status %d: %s", e.StatusCode, bare(e.Err))
	}
}

// Unwrap returns Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

// A hookError is a failure of OnConnect or Prepare.
type hookError struct {
	hook      string
	err       error // filtered
	permanent bool  // the hook has returned an *OptionError
}

// newHookError makes an error of what a hook has returned, without the secrets in it.
func newHookError(hook string, err error, secrets *redact.Secrets) error {
	var wrong *OptionError
	return &hookError{hook, secrets.Hook(err), errors.As(err, &wrong)}
}

func (e *hookError) Error() string { return "apigws: " + e.hook + ": " + bare(e.err) }

// Is finds what the hook has returned, except errors about clients and messages: they are not about
// the client and the messages of the caller that gets this error.
func (e *hookError) Is(target error) bool {
	return target != ErrClosed && target != ErrNotSent && target != ErrUnconfirmed && errors.Is(e.err, target)
}

func (e *hookError) As(target any) bool { return errors.As(e.err, target) }

// A CloseError is the close frame with which the gateway ended a connection.
type CloseError struct {
	Code   int // RFC 6455, section 7.4; 1005 when the frame had none
	Reason string
}

// Error returns a text with the code and the reason.
func (e *CloseError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("apigws: closed by the gateway: %d", e.Code)
	}
	return fmt.Sprintf("apigws: closed by the gateway: %d %q", e.Code, e.Reason)
}

// rejects reports whether the close code blames something that was sent: sending it again would end
// the next connection too.
func (e *CloseError) rejects() bool {
	switch e.Code {
	case 1002, 1003, 1007, 1009:
		return true
	}
	return false
}

// A TooLargeError says that a message is larger than Limits.Message, or a URL longer than
// Limits.URL. A message to be written was not sent; one that was received has been skipped. The
// connection stays.
type TooLargeError struct {
	Size, Limit int // in bytes
}

// Error returns a text with both numbers.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("apigws: %d bytes exceed the limit of %d", e.Size, e.Limit)
}

// A GatewayError is an error frame of the gateway itself: a text message such as
//
//	{"message": "Forbidden", "connectionId":"eHrdFcnvvHcCE-w=", "requestId":"eHrjDEuVPHcFWMg="}
//
// that answers a message it could not route or whose integration failed. The connection stays open.
// A backend can send the same keys, so the frame is recognised, not authenticated.
type GatewayError struct {
	// Message is "Forbidden", "Internal server error", "Endpoint request timed out", ...
	Message      string `json:"message"`
	ConnectionID string `json:"connectionId"`
	RequestID    string `json:"requestId"`
}

// Error returns a text with the message and the request id, which the gateway's logs have, too.
func (e *GatewayError) Error() string {
	return fmt.Sprintf("apigws: gateway error: %s (request %s)", e.Message, e.RequestID)
}
