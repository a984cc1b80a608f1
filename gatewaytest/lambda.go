package gatewaytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Lambda makes a Handler of a function written for AWS Lambda, of any input and output type, for
// example those of github.com/aws/aws-lambda-go/events. The event goes in and the result comes out
// through JSON, as in the Lambda runtime, so that the tags of the types are tested, too. A result
// that is not the JSON of a proxy response, which for $connect includes a statusCode, is an error.
func Lambda[I, O any](fn func(context.Context, I) (O, error)) Handler {
	return func(ctx context.Context, ev *Event) (*Response, error) {
		result, err := callJSON(ctx, fn, ev)
		if err != nil {
			return nil, err
		}
		return parseResponse(ev, result)
	}
}

// LambdaAuthorizer is Lambda for the function of an Authorizer.
func LambdaAuthorizer[I, O any](fn func(context.Context, I) (O, error)) AuthorizerFunc {
	return func(ctx context.Context, r *AuthorizerRequest) (*AuthorizerResponse, error) {
		result, err := callJSON(ctx, fn, r)
		if err != nil {
			return nil, err
		}
		return parseAuthorizerResponse(result)
	}
}

// callJSON calls a function as the Lambda runtime does, and returns its result as JSON.
func callJSON[I, O any](ctx context.Context, fn func(context.Context, I) (O, error), payload any) ([]byte, error) {
	b, err := json.Marshal(payload)
	if err != nil {
		return nil, err
	}
	var in I
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("gatewaytest: event does not fit %T: %w", in, err)
	}
	out, err := fn(ctx, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// parseResponse takes a function's result as the gateway does.
func parseResponse(ev *Event, result []byte) (*Response, error) {
	var resp *Response // null stays nil
	if err := json.Unmarshal(result, &resp); err != nil {
		return nil, fmt.Errorf("gatewaytest: malformed proxy response: %w", err)
	}
	if ev.RequestContext.EventType == EventConnect && (resp == nil || resp.StatusCode == 0) {
		return nil, errors.New("gatewaytest: malformed proxy response: no statusCode")
	}
	return resp, nil
}
