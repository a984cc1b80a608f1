package ws

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestValidText has the cases of family 6 that are UTF-8.
func TestValidText(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"6.1", ""},
		{"6.2", "Hello-µ@ßöäüàá-UTF-8!!"},
		{"6.5 Greek", "κόσμε"},
		{"6.6 a character", "\xce\xba"},
		{"6.6 two characters", "\xce\xba\xe1\xbd\xb9"},
		{"6.7 the first of one byte", "\x00"},
		{"6.7 the first of two bytes", "\xc2\x80"},
		{"6.7 the first of three bytes", "\xe0\xa0\x80"},
		{"6.7 the first of four bytes", "\xf0\x90\x80\x80"},
		{"6.9 the last of one byte", "\x7f"},
		{"6.9 the last of two bytes", "\xdf\xbf"},
		{"6.9 the last of three bytes", "\xef\xbf\xbf"},
		{"6.9 the last of four bytes", "\xf4\x8f\xbf\xbf"},
		{"6.11 before the surrogates", "\xed\x9f\xbf"},
		{"6.11 after the surrogates", "\xee\x80\x80"},
		{"6.11 replacement character", "\xef\xbf\xbd"},
		{"6.22 non-characters", "\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0001ffff\U0002fffe\U0008ffff\U000ffffe\U0010fffe\U0010ffff"},
		{"6.23 specials", "\ufff9\ufffa\ufffb\ufffc\ufffd\ufffe\uffff"},
		{"byte order mark", "\ufeffbom"},
		{"four bytes over and over", strings.Repeat("𝄞", 40)},
	} {
		want := fmt.Sprintf("text %q", c.text)
		row{c.name + ", in one frame", frame(finText, c.text), want, "EOF", 0}.check(t)
		row{c.name + ", in frames of one byte", fragments(Text, c.text, 1), want, "EOF", 0}.check(t)
		for i := range len(c.text) {
			row{fmt.Sprintf("%s, in two frames at %d", c.name, i), frame(byte(Text), c.text[:i]) + "\x89\x00" + frame(finCont, c.text[i:]),
				`ping ""; ` + want, "EOF", 0}.check(t)
		}
		if c.text == "" {
			continue
		}
		want = fmt.Sprintf("text of %d, too large", len(c.text))
		row{c.name + ", too large", frame(finText, c.text), want, "EOF", nothing}.check(t)
		row{c.name + ", too large, in frames of one byte", fragments(Text, c.text, 1), want, "EOF", nothing}.check(t)
		row{c.name + ", too large from the second byte", fragments(Text, c.text+"!", 1),
			fmt.Sprintf("text of %d, too large", len(c.text)+1), "EOF", 1}.check(t)
	}
}

// TestInvalidText has the cases of family 6 that are not UTF-8. The byte that makes them so is the
// one before the bar; where there is no bar, it is the end of the message.
func TestInvalidText(t *testing.T) {
	type malformed struct{ name, text string }
	all := []malformed{
		{"6.3 a surrogate after Greek", "κόσμε\xed\xa0|\x80edited"},
		{"6.4 above U+10FFFF after Greek", "κόσμε\xf4\x90|\x80\x80edited"},
		{"6.6 one byte of two", "\xce"},
		{"6.6 one byte of three", "\xce\xba\xe1"},
		{"6.6 two bytes of three", "\xce\xba\xe1\xbd"},
		{"6.6 two bytes of two, one of two", "\xce\xba\xe1\xbd\xb9\xcf"},
		{"6.8 five bytes", "\xf8|\x88\x80\x80\x80"},
		{"6.8 six bytes", "\xfc|\x84\x80\x80\x80\x80"},
		{"6.10 the last of 21 bits", "\xf7|\xbf\xbf\xbf"},
		{"6.10 the last of five bytes", "\xfb|\xbf\xbf\xbf\xbf"},
		{"6.10 the last of six bytes", "\xfd|\xbf\xbf\xbf\xbf\xbf"},
		{"6.11 the first above U+10FFFF", "\xf4\x90|\x80\x80"},
		{"6.12 two continuation bytes", "\x80|\xbf"},
		{"6.12 a continuation byte after a character", "\xce\xba\xbf|"},
		{"6.12 a continuation byte after ASCII", "12345678\x80|"},
		{"6.14 one byte of two", "\xdf"},
		{"6.14 two bytes of three", "\xef\xbf"},
		{"6.14 two bytes of three, the first of them", "\xe0\xa0"},
		{"6.14 one byte of four", "\xf0"},
		{"6.14 two bytes of four", "\xf0\x90"},
		{"6.14 three bytes of four", "\xf0\x90\x80"},
		{"6.14 three bytes of four, the last", "\xf4\x8f\xbf"},
		{"6.14 one byte of two, and ASCII", "\xdfa|"},
		{"6.14 two bytes of three, and ASCII", "\xef\xbfa|"},
		{"6.14 three bytes of four, and ASCII", "\xf0\x90\x80a|bc"},
		{"6.14 three bytes of four, and the first of two", "\xf0\x90\x80\xce|\xba"},
		{"6.15 the missing ends in a row", "\xc0|\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80"},
		{"6.16 impossible bytes", "\xfe|\xff"},
		{"6.17 overlong slash, two bytes", "\xc0|\xaf"},
		{"6.17 overlong slash, three bytes", "\xe0\x80|\xaf"},
		{"6.17 overlong slash, four bytes", "\xf0\x80|\x80\xaf"},
		{"6.18 the last overlong, two bytes", "\xc1|\xbf"},
		{"6.18 the last overlong, three bytes", "\xe0\x9f|\xbf"},
		{"6.18 the last overlong, four bytes", "\xf0\x8f|\xbf\xbf"},
		{"6.19 overlong NUL, two bytes", "\xc0|\x80"},
		{"6.19 overlong NUL, three bytes", "\xe0\x80|\x80"},
		{"6.19 overlong NUL, four bytes", "\xf0\x80|\x80\x80"},
		{"6.20 the first high surrogate", "\xed\xa0|\x80"},
		{"6.20 the last high surrogate", "\xed\xaf|\xbf"},
		{"6.20 the first low surrogate", "\xed\xb0|\x80"},
		{"6.20 the last low surrogate", "\xed\xbf|\xbf"},
		{"6.21 a pair of surrogates", "\xed\xa0|\x80\xed\xb0\x80"},
		{"late in a long text", strings.Repeat("κόσμε ", 300) + "\xff|" + strings.Repeat("x", 100)},
		{"late in a text for the large buffer", text(100_000) + "\xff|" + strings.Repeat("x", 40_000)},
	}
	for b := 0x80; b <= 0xbf; b++ {
		all = append(all, malformed{fmt.Sprintf("6.12 the continuation byte %#x", b), string([]byte{byte(b), '|'})})
	}
	for b := 0xc0; b <= 0xff; b++ { // 6.13 has them followed by a space
		text := string([]byte{byte(b)}) + " |"
		if b < 0xc2 || b > 0xf4 {
			text = string([]byte{byte(b)}) + "| "
		}
		all = append(all, malformed{fmt.Sprintf("6.13 the first byte %#x alone", b), text})
	}

	for _, c := range all {
		first, rest, early := strings.Cut(c.text, "|")
		whole := first + rest
		if utf8.ValidString(whole) {
			t.Fatalf("%s: %q is UTF-8", c.name, whole)
		}
		row{c.name + ", in one frame", header(finText, len(whole)) + first, "", "1007", 0}.check(t)
		row{c.name + ", too large", header(finText, len(whole)) + first, "", "1007", nothing}.check(t)
		row{c.name + ", after a message and a ping", "\x82\x02\xe1\xbd" + "\x81\x02\xc3\xbc" + "\x89\x01\xff" + header(finText, len(whole)) + first,
			`binary "\xe1\xbd"; text "ü"; ping "\xff"`, "1007", 0}.check(t)
		row{c.name + ", as binary", frame(finBinary, whole[max(0, len(whole)-100):]), fmt.Sprintf("binary %q", whole[max(0, len(whole)-100):]), "EOF", 0}.check(t)
		if len(whole) > 50 {
			continue
		}
		inFrames := func(cut int) string {
			return frame(byte(Text), whole[:cut]) + "\x89\x00" + header(finCont, len(whole)-cut) + first[cut:]
		}
		for cut := range len(first) {
			row{fmt.Sprintf("%s, in two frames at %d", c.name, cut), inFrames(cut), `ping ""`, "1007", 0}.check(t)
			row{fmt.Sprintf("%s, too large, in two frames at %d", c.name, cut), inFrames(cut), `ping ""`, "1007", nothing}.check(t)
		}
		one := fragments(Text, whole, 1) // each byte is the third of its frame
		row{c.name + ", in frames of one byte", one[:3*len(first)], "", "1007", 0}.check(t)
		if !early { // the end of the message may also be an empty frame
			row{c.name + ", and an empty frame", frame(byte(Text), whole) + "\x80\x00", "", "1007", 0}.check(t)
		}
	}
}

// viable reports whether p can be continued to UTF-8. It tries, so that it shares nothing with what
// it checks.
func viable(p []byte) bool {
	// In each row of table 3-7 of the Unicode standard, one of these may come next.
	next := []byte{0x80, 0x90, 0xa0}
	for n := range 4 {
		ends := 1
		for range n {
			ends *= len(next)
		}
		for end := range ends {
			q := append([]byte(nil), p...)
			for range n {
				q = append(q, next[end%len(next)])
				end /= len(next)
			}
			if utf8.Valid(q) {
				return true
			}
		}
	}
	return false
}

// TestEveryCharacter checks every sequence of up to four bytes that matters: every first byte,
// every second byte, and the edges of the ranges of a third and fourth.
func TestEveryCharacter(t *testing.T) {
	edges := []byte{0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xf0, 0xff}
	var try func(p []byte, before utf8Check)
	try = func(p []byte, before utf8Check) {
		bytewise := before
		ok := bytewise.add(p[len(p)-1:])
		var atOnce, behind utf8Check
		if want := viable(p); ok != want || atOnce.add(p) != want || behind.add(append([]byte("€x"), p...)) != want {
			t.Fatalf("%q: %t byte by byte, or another answer at once, want %t", p, ok, want)
		}
		if !ok {
			return
		}
		if want := utf8.Valid(p); bytewise.complete() != want || atOnce.complete() != want || behind.complete() != want {
			t.Fatalf("%q is complete: %t byte by byte, or another answer at once, want %t", p, bytewise.complete(), want)
		}
		if utf8.Valid(p) {
			return // from here on it is like at the beginning
		}
		switch len(p) {
		case 1:
			for b := range 256 {
				try(append(p[:1:1], byte(b)), bytewise)
			}
		case 2, 3:
			for _, b := range edges {
				try(append(p[:len(p):len(p)], b), bytewise)
			}
		}
	}
	for b := range 256 {
		try([]byte{byte(b)}, utf8Check{})
	}
}
