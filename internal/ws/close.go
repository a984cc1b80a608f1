package ws

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// AppendClose appends a close frame without a reason to buf and returns the extended buffer. The
// code is one that ParseClose accepts, or 1005 for a frame without a code.
func AppendClose(buf []byte, code int, keys *MaskKeys) []byte {
	if code == noStatus {
		return AppendControl(buf, Close, nil, keys)
	}
	var payload [2]byte
	binary.BigEndian.PutUint16(payload[:], uint16(code))
	return AppendControl(buf, Close, payload[:], keys)
}

// ParseClose takes the payload of a close frame apart. An empty payload has the code 1005. The
// error is an *Error: with code 1002 for half a code or one that must not be sent, and with code
// 1007 for a reason that is not UTF-8.
func ParseClose(p []byte) (code int, reason string, err error) {
	switch len(p) {
	case 0:
		return noStatus, "", nil
	case 1:
		return 0, "", breach("half a close code")
	}
	code = int(binary.BigEndian.Uint16(p))
	if !mayBeSent(code) {
		return 0, "", breach(fmt.Sprintf("close code %d", code))
	}
	if !utf8.Valid(p[2:]) {
		return 0, "", malformed("the reason of a close frame is not UTF-8")
	}
	return code, string(p[2:]), nil
}

// mayBeSent reports whether a close code may stand in a frame: RFC 6455, section 7.4, and the
// registry that it founds, which has added 1012 to 1014. 1004 is reserved, 1005, 1006 and 1015
// stand for what no frame says.
func mayBeSent(code int) bool {
	return 1000 <= code && code <= 1003 || 1007 <= code && code <= 1014 ||
		3000 <= code && code <= 4999
}
