package ws

import (
	"fmt"
	"strings"
	"testing"
)

func TestPings(t *testing.T) {
	long := strings.Repeat("\xfe", 125)
	binary := "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	for _, c := range []row{
		{"case 2.1, empty", "\x89\x00", `ping ""`, "EOF", 0},
		{"case 2.2, text", "\x89\x0dHello, world!", `ping "Hello, world!"`, "EOF", 0},
		{"case 2.3, binary", "\x89\x08" + binary, fmt.Sprintf("ping %q", binary), "EOF", 0},
		{"cases 2.4 and 2.6, 125 bytes", "\x89\x7d" + long, fmt.Sprintf("ping %q", long), "EOF", 0},
		{"case 2.5, 126 bytes", "\x89\x7e", "", "1002", 0},
		{"5.5 64 bits of length", "\x89\x7f", "", "1002", 0},
		{"case 2.7, a pong that answers nothing", "\x8a\x00", `pong ""`, "EOF", 0},
		{"case 2.8, a pong that answers nothing, with a payload", "\x8a\x08" + binary, fmt.Sprintf("pong %q", binary), "EOF", 0},
		{"case 2.9, a pong and a ping", "\x8a\x01a" + "\x89\x01b" + "\x81\x01c", `pong "a"; ping "b"; text "c"`, "EOF", 0},
		{"cases 2.10 and 2.11, ten pings", strings.Repeat("\x89\x02p0", 10),
			strings.TrimSuffix(strings.Repeat(`ping "p0"; `, 10), "; "), "EOF", 0},
		{"5.5 a pong of 126 bytes", "\x8a\x7e", "", "1002", 0},
		{"5.5 a close of 126 bytes", "\x88\x7e", "", "1002", 0},
		{"5.5 a close with 64 bits of length", "\x88\x7f", "", "1002", 0},
		{"5.5.2 a hundred large pings", strings.Repeat("\x89\x7d"+long, 100),
			strings.TrimSuffix(strings.Repeat(fmt.Sprintf("ping %q; ", long), 100), "; "), "EOF", 0},
	} {
		c.check(t)
	}
}

func TestReservedBits(t *testing.T) {
	for bits := byte(0x10); bits <= 0x70; bits += 0x10 {
		family := fmt.Sprintf("case 3.%d, ", bits>>4)
		for _, first := range []byte{finText, finBinary, finClose, finPing, finPong, byte(Text), byte(Binary)} {
			row{fmt.Sprintf("%sfirst byte %#x", family, first|bits), string([]byte{first | bits}), "", "1002", 0}.check(t)
		}
		row{family + "after a message", "\x81\x02Hi" + string([]byte{finText | bits}), `text "Hi"`, "1002", 0}.check(t)
		row{family + "after a ping", "\x89\x00" + string([]byte{finPing | bits}), `ping ""`, "1002", 0}.check(t)
		row{family + "continuation", "\x01\x02Hi" + string([]byte{finCont | bits}), "", "1002", 0}.check(t)
	}
}

func TestOpcodes(t *testing.T) {
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		family := fmt.Sprintf("case 4.%d, opcode %d, ", 1+op>>3, op)
		row{family + "final", string([]byte{finBit | op}), "", "1002", 0}.check(t)
		row{family + "not final", string([]byte{op}), "", "1002", 0}.check(t)
		row{family + "after a message", "\x81\x02Hi" + string([]byte{finBit | op}), `text "Hi"`, "1002", 0}.check(t)
		row{family + "within a message", "\x01\x02Hi" + string([]byte{finBit | op}), "", "1002", 0}.check(t)
	}
}

func TestFragmentation(t *testing.T) {
	for _, c := range []row{
		{"case 5.1, a ping in two frames", "\x09", "", "1002", 0},
		{"case 5.2, a pong in two frames", "\x0a", "", "1002", 0},
		{"5.5 a close in two frames", "\x08", "", "1002", 0},
		{"5.5 a ping in two frames within a message", "\x01\x02Hi" + "\x09", "", "1002", 0},
		{"cases 5.3 to 5.5, two frames", "\x01\x02Hi" + "\x80\x02ho", `text "Hiho"`, "EOF", 0},
		{"cases 5.6 to 5.8, a ping between", "\x01\x02Hi" + "\x89\x01p" + "\x80\x02ho", `ping "p"; text "Hiho"`, "EOF", 0},
		{"cases 5.9 to 5.11, a final continuation of nothing", "\x80", "", "1002", 0},
		{"cases 5.12 to 5.14, a continuation of nothing", "\x00", "", "1002", 0},
		{"case 5.15, a continuation after the last", "\x01\x02Hi" + "\x80\x02ho" + "\x00", `text "Hiho"`, "1002", 0},
		{"case 5.16, a continuation before the first", "\x00", "", "1002", 0},
		{"case 5.17, a final continuation after a message", "\x81\x02Hi" + "\x80", `text "Hi"`, "1002", 0},
		{"case 5.18, two frames of text", "\x01\x02Hi" + "\x81", "", "1002", 0},
		{"5.4 two first frames of text", "\x01\x02Hi" + "\x01", "", "1002", 0},
		{"5.4 binary within text", "\x01\x02Hi" + "\x82", "", "1002", 0},
		{"5.4 text within binary", "\x02\x02Hi" + "\x81", "", "1002", 0},
		{"5.4 text after an empty first frame", "\x01\x00" + "\x81", "", "1002", 0},
		{"5.4 text within a message after a ping", "\x01\x02Hi" + "\x89\x00" + "\x81", `ping ""`, "1002", 0},
		{"5.4 a continuation after a ping and no message", "\x89\x00" + "\x80", `ping ""`, "1002", 0},
		{"cases 5.19 and 5.20, five frames and two pings", "\x01\x01a" + "\x00\x01b" + "\x89\x011" + "\x00\x01c" + "\x00\x01d" + "\x89\x012" + "\x80\x01e",
			`ping "1"; ping "2"; text "abcde"`, "EOF", 0},
		{"5.4 every control frame between two frames", "\x02\x01a" + "\x8a\x01p" + "\x89\x01q" + "\x88\x02\x03\xe8" + "\x80\x01b",
			`pong "p"; ping "q"; close 1000 ""; binary "ab"`, "EOF", 0},
		{"5.4 one message after another", fragments(Text, "Hello", 2) + fragments(Binary, "World", 1) + fragments(Text, "!", 1),
			`text "Hello"; binary "World"; text "!"`, "EOF", 0},
		{"5.4 empty frames around", "\x01\x00" + "\x00\x00" + "\x00\x02Hi" + "\x00\x00" + "\x80\x00", `text "Hi"`, "EOF", 0},
		{"5.4 nothing but empty frames", "\x02\x00" + strings.Repeat("\x00\x00", 10) + "\x80\x00", `binary ""`, "EOF", 0},
		{"5.4 a thousand frames", fragments(Text, text(1000), 1), "text of 1000", "EOF", 0},
		{"5.4 frames that grow", "\x01\x01a" + frame(0, text(200)) + frame(0, text(20_000)) + frame(finCont, text(100_000)), "text of 120201", "EOF", 0},
		{"5.4 frames that shrink", frame(1, text(100_000)) + frame(0, text(20_000)) + frame(0, text(200)) + frame(finCont, "a"), "text of 120201", "EOF", 0},
	} {
		c.check(t)
	}
}

func TestCloseFrames(t *testing.T) {
	reason := strings.Repeat("r", 123)
	for _, c := range []row{
		{"case 7.1.1, after a message", "\x81\x02Hi" + "\x88\x02\x03\xe8", `text "Hi"; close 1000 ""`, "EOF", 0},
		{"case 7.1.2, two", "\x88\x02\x03\xe8" + "\x88\x02\x03\xe9", `close 1000 ""; close 1001 ""`, "EOF", 0},
		{"case 7.1.5, within a message", "\x01\x02Hi" + "\x88\x02\x03\xe8" + "\x80\x02ho", `close 1000 ""; text "Hiho"`, "EOF", 0},
		{"case 7.3.1, empty", "\x88\x00", `close 1005 ""`, "EOF", 0},
		{"case 7.3.2, one byte", "\x88\x01\x03", `close refused with 1002`, "EOF", 0},
		{"case 7.3.3, a code", "\x88\x02\x03\xe8", `close 1000 ""`, "EOF", 0},
		{"case 7.3.4, a code and a reason", "\x88\x07\x03\xe8Hello", `close 1000 "Hello"`, "EOF", 0},
		{"case 7.3.5, the longest reason", "\x88\x7d\x03\xe8" + reason, fmt.Sprintf("close 1000 %q", reason), "EOF", 0},
		{"case 7.3.6, too long a reason", "\x88\x7e", "", "1002", 0},
		{"case 7.5.1, a reason that is not UTF-8", frame(finClose, closing(1000, "\xce\xba\xed\xa0\x80edited")), `close refused with 1007`, "EOF", 0},
		{"7.1.6 a reason that ends within a character", frame(finClose, closing(1000, "\xce\xba\xce")), `close refused with 1007`, "EOF", 0},
		{"7.1.6 a reason in UTF-8", frame(finClose, closing(4000, "κόσμε")), `close 4000 "κόσμε"`, "EOF", 0},
		{"7.4 a bad code with a bad reason", frame(finClose, closing(999, "\xff")), `close refused with 1002`, "EOF", 0},
	} {
		c.check(t)
	}
	valid := func(code int) bool { // as the registry of IANA has it
		switch code {
		case 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014:
			return true
		}
		return code >= 3000 && code < 5000
	}
	for code := range 1 << 16 { // cases 7.7, 7.9 and 7.13
		want := "close refused with 1002"
		if valid(code) {
			want = fmt.Sprintf("close %d \"\"", code)
		}
		p := []byte(closing(uint16(code), ""))
		if got := show(Message{Close, p, 2}); got != want {
			t.Fatalf("code %d: %s, want %s", code, got, want)
		}
	}
}
