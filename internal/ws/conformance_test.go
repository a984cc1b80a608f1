package ws

import (
	"strings"
	"testing"
)

// The tables name the section of RFC 6455 that a row is about, or the family of cases of the Autobahn
// test suite ("cases 2.1").

func TestFrames(t *testing.T) {
	hello := frame(finText, "Hello")
	for _, c := range []row{
		{"5 nothing", nil, nil, "EOF", 0},
		{"5.7 a text message", []string{hello}, []string{`text "Hello"`}, "EOF", 0},
		{"5.7 a text message in two frames", []string{"\x01\x03Hel", "\x80\x02lo"}, []string{`text "Hello"`}, "EOF", 0},
		{"5.7 a PING", []string{"\x89\x05Hello"}, []string{`ping "Hello"`}, "EOF", 0},
		{"5.7 a PONG that answers nothing", []string{"\x8a\x05Hello"}, []string{`pong "Hello"`}, "EOF", 0},
		{"5.7 256 bytes of binary", []string{"\x82\x7e\x01\x00", strings.Repeat("b", 256)}, []string{"binary of 256"}, "EOF", 0},
		{"5.7 64 KiB of binary", []string{"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", strings.Repeat("b", 1<<16)}, []string{"binary of 65536"}, "EOF", 0},
	} {
		c.check(t)
	}
}
