package gatewaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
)

// InvokeLambda returns a Handler that calls a function over the Lambda Invoke API, POST
// {endpoint}/2015-03-31/functions/{function}/invocations, for example the one that AWS's runtime
// interface emulator serves (its only function is called "function") or "sam local start-lambda".
// The endpoint is a URL without a path, such as "http://127.0.0.1:8080"; InvokeLambda panics if it
// is none. Requests are not signed.
//
// The Handler fails, as the integration does, when the function fails or runs into its own timeout,
// when its result is not a proxy response, and when nobody answers.
//
// The runtime interface emulator crashes when it is asked to run two invocations at once, so those
// of its function wait for each other, whatever Handler they come from; the time counts for
// Config.IntegrationTimeout. Functions of other names run side by side.
func InvokeLambda(endpoint, function string) Handler {
	invoke := newInvoker(endpoint, function)
	return func(ctx context.Context, ev *Event) (*Response, error) {
		result, err := invoke(ctx, ev)
		if err != nil {
			return nil, err
		}
		return parseResponse(ev, result)
	}
}

// InvokeLambdaAuthorizer is InvokeLambda for the function of an Authorizer.
func InvokeLambdaAuthorizer(endpoint, function string) AuthorizerFunc {
	invoke := newInvoker(endpoint, function)
	return func(ctx context.Context, r *AuthorizerRequest) (*AuthorizerResponse, error) {
		result, err := invoke(ctx, r)
		if err != nil {
			return nil, err
		}
		return parseAuthorizerResponse(result)
	}
}

// An invoker sends a payload to a function and returns its result.
type invoker func(ctx context.Context, payload any) ([]byte, error)

func newInvoker(endpoint, function string) invoker {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		panic(fmt.Sprintf("gatewaytest: InvokeLambda: endpoint %q is not an http or https URL", endpoint))
	}
	target := u.JoinPath("2015-03-31/functions", url.PathEscape(function), "invocations").String()
	return func(ctx context.Context, payload any) ([]byte, error) {
		body, err := json.Marshal(payload)
		if err != nil {
			return nil, err
		}
		if function == emulated {
			turn := turnOf(target)
			select {
			case turn <- struct{}{}:
				defer func() { <-turn }()
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := backends.Do(req)
		if err != nil {
			return nil, err
		}
		result, err := readAll(resp)
		switch {
		case err != nil:
			return nil, err
		case resp.StatusCode != http.StatusOK:
			return nil, fmt.Errorf("gatewaytest: invoke: %s", resp.Status)
		}
		return result, functionError(resp.Header.Get("X-Amz-Function-Error"), result)
	}
}

// emulated is the name of the function that the runtime interface emulator serves.
const emulated = "function"

var (
	turnsMu sync.Mutex
	turns   = map[string]chan struct{}{} // by the URL of the function; guarded by turnsMu
)

// turnOf returns what has room for one invocation of a function.
func turnOf(target string) chan struct{} {
	turnsMu.Lock()
	defer turnsMu.Unlock()
	if turns[target] == nil {
		turns[target] = make(chan struct{}, 1)
	}
	return turns[target]
}

// A FunctionError is the failure of a function that InvokeLambda has called.
type FunctionError struct {
	Type    string `json:"errorType"`    // such as "Runtime.ExitError", or the name of an exception
	Message string `json:"errorMessage"` // the function's own
}

// Error returns type and message.
func (e *FunctionError) Error() string {
	return fmt.Sprintf("gatewaytest: function failed: %s: %s", e.Type, e.Message)
}

// functionError returns the error that a result is, or nil. Lambda says so in a header; the runtime
// interface emulator leaves the header out, so that only the fields of the result tell.
func functionError(header string, result []byte) error {
	var fields struct {
		FunctionError
		StatusCode any `json:"statusCode"`
	}
	err := json.Unmarshal(result, &fields)
	marked := header != ""
	if marked || err == nil && fields.StatusCode == nil && fields.Type != "" {
		return &fields.FunctionError
	}
	return nil
}

// backends calls what the user has behind the gateway. It keeps no connection, so that nothing is
// left behind when a Server is closed, and it follows no redirects, as no integration does.
var backends = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// mostAnswer is how long an answer of a backend may be. Lambda's own limit is 6 MB.
const mostAnswer = 10 << 20

var errLongAnswer = errors.New("gatewaytest: the backend's answer is too long")

// readAll reads the body of an answer and closes it.
func readAll(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer+1))
	if err == nil && len(b) > mostAnswer {
		err = errLongAnswer
	}
	return b, err
}
