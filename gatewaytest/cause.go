package gatewaytest

import (
	"fmt"

	"github.com/gobwas/ws"
)

// A Cause is why the gateway closes a connection by itself; see Config.Closing.
type Cause string

// The causes, with the close code and reason that they have by default.
const (
	// CauseIdle is 1001 "Going away", or 1006 with Config.AbruptIdle: both were captured.
	CauseIdle Cause = "idle"

	// CauseLifetime is 1001 "Going away", as captured.
	CauseLifetime Cause = "lifetime"

	// CauseDelete, DELETE @connections, is 1000 "Connection Closed Normally", as captured.
	CauseDelete Cause = "delete"

	// CauseFrameSize is 1009 "Max frame length of 32768 has been exceeded.", documented and
	// captured.
	CauseFrameSize Cause = "frame size"

	// CauseMessageSize is 1009, as documented. The real reason text is not known.
	CauseMessageSize Cause = "message size"

	// CauseBinary, a binary frame, is 1003, as documented.
	CauseBinary Cause = "binary"

	// CauseProtocol, a breach of RFC 6455, is 1002, an inference.
	CauseProtocol Cause = "protocol"

	// CauseEncoding, a text message that is not UTF-8, is 1007, an inference.
	CauseEncoding Cause = "encoding"
)

// cut closes the connection on the gateway's own account.
func (c *Conn) cut(cause Cause) {
	code, reason := c.srv.cfg.closing(cause)
	if f := c.srv.cfg.Closing; f != nil {
		code, reason = f(cause, code, reason)
	}
	c.shut(code, reason)
}

func (cfg *Config) closing(cause Cause) (code int, reason string) {
	switch cause {
	case CauseIdle:
		if cfg.AbruptIdle {
			return codeAbnormal, ""
		}
		return int(ws.StatusGoingAway), "Going away"
	case CauseLifetime:
		return int(ws.StatusGoingAway), "Going away"
	case CauseDelete:
		return int(ws.StatusNormalClosure), "Connection Closed Normally"
	case CauseFrameSize:
		return int(ws.StatusMessageTooBig), fmt.Sprintf("Max frame length of %d has been exceeded.", cfg.MaxFrame)
	case CauseMessageSize:
		return int(ws.StatusMessageTooBig), ""
	case CauseBinary:
		return int(ws.StatusUnsupportedData), ""
	case CauseEncoding:
		return int(ws.StatusInvalidFramePayloadData), ""
	default:
		return int(ws.StatusProtocolError), ""
	}
}
