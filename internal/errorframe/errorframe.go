// Package errorframe recognises the error frames that the gateway itself sends, between the
// messages of the backend.
package errorframe

import "encoding/json"

// MaxLen bounds what is looked at: the frames seen are of about 100 bytes.
const MaxLen = 1024

// A Frame is what an error frame says.
type Frame struct {
	Message      string // "Forbidden", "Internal server error", ...
	ConnectionID string
	RequestID    string
}

// Parse returns the error frame that p is, or nil. It must have exactly the three keys, in any
// order and spacing, all of them strings.
func Parse(p []byte) *Frame {
	if len(p) > MaxLen || len(p) == 0 || p[0] != '{' && p[0] > ' ' {
		return nil
	}
	var keys map[string]*string
	if json.Unmarshal(p, &keys) != nil || len(keys) != 3 {
		return nil
	}
	message, id, request := keys["message"], keys["connectionId"], keys["requestId"]
	if message == nil || id == nil || request == nil {
		return nil
	}
	return &Frame{Message: *message, ConnectionID: *id, RequestID: *request}
}
