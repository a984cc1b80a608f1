package gatewaytest

import (
	"context"
	"encoding/json"
	"fmt"
)

// Lambda makes a Handler of a function written for AWS Lambda, of any input and output type, for example those of
// github.com/aws/aws-lambda-go/events. The event goes in and the result comes out through JSON, as in the Lambda
// runtime, so that the tags of the types are tested, too. A result that is not the JSON of a proxy response, which for
// $connect includes a statusCode, is an error.
func Lambda[I, O any](fn func(context.Context, I) (O, error)) Handler {
	return func(ctx context.Context, ev *Event) (*Response, error) {
		b, err := json.Marshal(ev)
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
		if b, err = json.Marshal(out); err != nil {
			return nil, err
		}
		var resp *Response // null stays nil
		if err := json.Unmarshal(b, &resp); err != nil {
			return nil, fmt.Errorf("gatewaytest: malformed proxy response: %w", err)
		}
		if ev.RequestContext.EventType == EventConnect && (resp == nil || resp.StatusCode == 0) {
			return nil, fmt.Errorf("gatewaytest: malformed proxy response: no statusCode")
		}
		return resp, nil
	}
}
