package ws

import (
	"fmt"
	"strings"
	"testing"
)

// The tables of the conformance tests name the section of RFC 6455 that a row is about, or the
// family of cases of the Autobahn test suite.

func TestFrames(t *testing.T) {
	for _, c := range []row{
		{"5.7 text", "\x81\x05Hello", `text "Hello"`, "EOF", 0},
		{"5.7 text in two frames", "\x01\x03Hel" + "\x80\x02lo", `text "Hello"`, "EOF", 0},
		{"5.7 ping", "\x89\x05Hello", `ping "Hello"`, "EOF", 0},
		{"5.7 pong", "\x8a\x05Hello", `pong "Hello"`, "EOF", 0},
		{"5.7 256 bytes of binary", "\x82\x7e\x01\x00" + strings.Repeat("b", 256), "binary of 256", "EOF", 0},
		{"5.7 64 KiB of binary", "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("b", 1<<16),
			"binary of 65536", "EOF", 0},
		{"5.1 masked text", "\x81\x85", "", "1002", 0},
		{"5.1 masked text after a message", "\x81\x02Hi" + "\x81\x85", `text "Hi"`, "1002", 0},
		{"5.1 masked binary, empty", "\x82\x80", "", "1002", 0},
		{"5.1 masked text of 16 bits of length", "\x81\xfe", "", "1002", 0},
		{"5.1 masked text of 64 bits of length", "\x81\xff", "", "1002", 0},
		{"5.1 masked continuation", "\x01\x03Hel" + "\x80\x82", "", "1002", 0},
		{"5.1 masked ping", "\x89\x80", "", "1002", 0},
		{"5.1 masked pong", "\x8a\x81", "", "1002", 0},
		{"5.1 masked close", "\x88\x82", "", "1002", 0},
		{"5.6 text is followed by binary", "\x81\x02Hi" + "\x82\x02\xff\xfe", `text "Hi"; binary "\xff\xfe"`, "EOF", 0},
		{"5.6 binary is followed by text", "\x82\x01\xff" + "\x81\x02Hi", `binary "\xff"; text "Hi"`, "EOF", 0},
	} {
		c.check(t)
	}
}

func TestStreamEnds(t *testing.T) {
	for _, c := range []row{
		{"before everything", "", "", "EOF", 0},
		{"between two messages", "\x81\x02Hi", `text "Hi"`, "EOF", 0},
		{"after a control frame", "\x89\x00", `ping ""`, "EOF", 0},
		{"after a close frame", "\x88\x00", `close 1005 ""`, "EOF", 0},
		{"after one byte", "\x81", "", "unexpected EOF", 0},
		{"after one byte of a later frame", "\x81\x02Hi\x81", `text "Hi"`, "unexpected EOF", 0},
		{"before the length, 16 bits", "\x81\x7e", "", "unexpected EOF", 0},
		{"within the length, 16 bits", "\x81\x7e\x01", "", "unexpected EOF", 0},
		{"before the length, 64 bits", "\x81\x7f", "", "unexpected EOF", 0},
		{"within the length, 64 bits", "\x81\x7f\x00\x00\x00\x00\x00", "", "unexpected EOF", 0},
		{"before the last byte of the length", "\x81\x7f\x00\x00\x00\x00\x00\x01\x00", "", "unexpected EOF", 0},
		{"before the payload", "\x81\x05", "", "unexpected EOF", 0},
		{"within the payload", "\x81\x05Hell", "", "unexpected EOF", 0},
		{"within a large payload", header(finText, 100_000) + text(99_999), "", "unexpected EOF", 0},
		{"within a payload that is skipped", "\x81\x05Hell", "", "unexpected EOF", 4},
		{"before the payload of a ping", "\x89\x05", "", "unexpected EOF", 0},
		{"within the payload of a ping", "\x89\x05Hell", "", "unexpected EOF", 0},
		{"after the first frame of a message", "\x01\x05Hello", "", "unexpected EOF", 0},
		{"after the first frame of a message, empty", "\x01\x00", "", "unexpected EOF", 0},
		{"after a ping within a message", "\x01\x05Hello\x89\x00", `ping ""`, "unexpected EOF", 0},
		{"after a message in two frames", "\x01\x03Hel\x80\x02lo", `text "Hello"`, "EOF", 0},
	} {
		c.check(t)
	}
}

func TestLengths(t *testing.T) {
	for _, c := range []row{
		{"5.2 125 bytes in 16 bits", "\x82\x7e\x00\x7d", "", "1002", 0},
		{"5.2 no bytes in 16 bits", "\x82\x7e\x00\x00", "", "1002", 0},
		{"5.2 65535 bytes or fewer in 64 bits", "\x82\x7f\x00\x00\x00\x00\x00\x00", "", "1002", 0},
		{"5.2 a continuation of 5 bytes in 16 bits", "\x01\x00\x80\x7e\x00\x05", "", "1002", 0},
		{"5.2 64 bits with the highest set", "\x82\x7f\x80", "", "1002", 0},
		{"5.2 64 bits, all set", "\x82\x7f\xff", "", "1002", 0},
		{"5.2 2^63-1 bytes", "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", "", "unexpected EOF", 0},
		{"5.2 2^56 bytes", "\x82\x7f\x01\x00\x00\x00\x00\x00\x00\x00", "", "unexpected EOF", 0},
		{"5.2 2^48 bytes", "\x82\x7f\x00\x01\x00\x00\x00\x00\x00\x00", "", "unexpected EOF", 0},
		{"5.2 2^32 bytes", "\x82\x7f\x00\x00\x00\x01\x00\x00\x00\x00", "", "unexpected EOF", 0},
	} {
		c.check(t)
	}
}

func TestSizes(t *testing.T) {
	for _, n := range []int{0, 1, 124, 125, 126, 127, 128, 129, 255, 256, 257, 4095, 4096, 16383, 16384, 16385, 32768, 65535, 65536, 131072} {
		want := fmt.Sprintf("text of %d; ping \"p\"; binary of %[1]d", n)
		if n <= 200 {
			want = fmt.Sprintf("text %q; ping \"p\"; binary %[1]q", text(n))
		}
		row{fmt.Sprint("cases 1.1 and 1.2, of ", n), frame(finText, text(n)) + frame(finPing, "p") + frame(finBinary, text(n)),
			want, "EOF", 0}.check(t)
	}
	for _, n := range []int{64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 16 << 20} {
		row{fmt.Sprint("cases 9.1, text of ", n), frame(finText, text(n)), fmt.Sprint("text of ", n), "EOF", 16 << 20}.check(t)
		row{fmt.Sprint("cases 9.2, binary of ", n), frame(finBinary, strings.Repeat("\xff", n)), fmt.Sprint("binary of ", n), "EOF", 16 << 20}.check(t)
	}
	for _, piece := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20} {
		row{fmt.Sprint("cases 9.3, text in frames of ", piece), fragments(Text, text(4<<20), piece), "text of 4194304", "EOF", 4 << 20}.check(t)
		row{fmt.Sprint("cases 9.4, binary in frames of ", piece), fragments(Binary, text(4<<20), piece), "binary of 4194304", "EOF", 4 << 20}.check(t)
	}
	row{"cases 10.1, text of 64 KiB in frames of 1300", fragments(Text, text(65536), 1300), "text of 65536", "EOF", 0}.check(t)
}

func TestTooLarge(t *testing.T) {
	after := frame(finText, "after")
	for _, c := range []row{
		{"at the limit", frame(finText, "12345") + after, `text "12345"; text "after"`, "EOF", 5},
		{"one byte above", frame(finText, "123456") + frame(finText, "12345"), `text of 6, too large; text "12345"`, "EOF", 5},
		{"binary", frame(finBinary, "\xff\xff") + frame(finBinary, "\xff"), `binary of 2, too large; binary "\xff"`, "EOF", 1},
		{"everything but nothing", frame(finText, "") + frame(finText, "1"), `text ""; text of 1, too large`, "EOF", nothing},
		{"the second frame crosses the limit", "\x01\x03123" + "\x80\x03456" + after,
			`text of 6, too large; text "after"`, "EOF", 5},
		{"the first frame crosses the limit", "\x01\x06123456" + "\x80\x017" + after,
			`text of 7, too large; text "after"`, "EOF", 5},
		{"an empty frame after the limit", "\x01\x06123456" + "\x00\x00" + "\x80\x00",
			`text of 6, too large`, "EOF", 5},
		{"a frame that would fit after the limit", "\x01\x06123456" + "\x00\x011" + "\x80\x00",
			`text of 7, too large`, "EOF", 5},
		{"at the limit in frames", "\x01\x03123" + "\x00\x0245" + "\x80\x00", `text "12345"`, "EOF", 5},
		{"a ping on the way", "\x01\x06123456" + "\x89\x01p" + "\x80\x017" + after,
			`ping "p"; text of 7, too large; text "after"`, "EOF", 5},
		{"control frames have a limit of their own", frame(finPing, strings.Repeat("p", 125)),
			fmt.Sprintf("ping %q", strings.Repeat("p", 125)), "EOF", 1},
		{"64 KiB", frame(finText, text(65536)) + frame(finText, text(65535)), "text of 65536, too large; text of 65535", "EOF", 65535},
		{"64 KiB in frames of 1000", fragments(Text, text(65536), 1000), "text of 65536, too large", "EOF", 65535},
		{"64 KiB in frames of 1000, of binary", fragments(Binary, strings.Repeat("\xff", 65536), 1000), "binary of 65536, too large", "EOF", 65535},
		{"a masked frame in one that is skipped", "\x01\x06123456" + "\x80\x80", "", "1002", 5},
		{"text in one that is skipped", "\x01\x06123456" + "\x81", "", "1002", 5},
	} {
		c.check(t)
	}
}
