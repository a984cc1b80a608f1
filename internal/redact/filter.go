package redact

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Mark stands where a secret was.
const Mark = "REDACTED"

// A span is a piece of a text.
type span struct{ start, end int }

// Text returns text without the secrets, in whatever spelling it has them, and without the query,
// the fragment and the user part of anything that looks like a URL.
func (s *Secrets) Text(text string) string {
	var spans []span
	for _, secret := range s.values {
		spans = appendSpans(spans, text, secret)
	}
	if len(spans) == 0 {
		return withoutURLs(text)
	}
	// All at once: what one secret leaves behind must not hide another.
	slices.SortFunc(spans, func(a, b span) int { return a.start - b.start })
	var out strings.Builder
	end := 0
	for _, sp := range spans {
		if sp.start >= end {
			out.WriteString(text[end:sp.start])
			out.WriteString(Mark)
		}
		end = max(end, sp.end)
	}
	out.WriteString(text[end:])
	return withoutURLs(out.String())
}

// appendSpans appends to spans where text holds secret.
func appendSpans(spans []span, text, secret string) []span {
	for i := 0; i < len(text); i++ {
		if end := match(text, i, secret); end > 0 {
			spans = append(spans, span{i, end})
		}
	}
	return spans
}

// match returns where secret ends if text, from start on, is one of its spellings, and 0 if it is
// not.
func match(text string, start int, secret string) (end int) {
	if c := text[start]; c != secret[0] && strings.IndexByte(`%+\&`, c) < 0 {
		return 0
	}
	// Where each prefix of secret may end: that of length i in ends[i%len(ends)], for an escape
	// stands for at most UTFMax bytes.
	var buf [utf8.UTFMax + 1][8]int
	var ends [len(buf)][]int
	for i := range ends {
		ends[i] = buf[i][:0]
	}
	ends[0] = append(ends[0], start)
	longest := 0 // prefix with an end
	for i := range len(secret) {
		if i > longest {
			return 0
		}
		here := ends[i%len(ends)]
		slices.Sort(here)
		for _, at := range slices.Compact(here) {
			next := &ends[(i+1)%len(ends)]
			if *next = appendEnds(*next, text, at, secret[i]); len(*next) > 0 {
				longest = max(longest, i+1)
			}
			// Go and JSON escape some letters as a whole, not each byte.
			if r, size := utf8.DecodeRuneInString(secret[i:]); size > 1 {
				if n := runeLen(text[at:], r); n > 0 {
					after := &ends[(i+size)%len(ends)]
					*after = append(*after, at+n)
					longest = max(longest, i+size)
				}
			}
		}
		ends[i%len(ends)] = here[:0]
	}
	if longest < len(secret) {
		return 0
	}
	return slices.Max(ends[len(secret)%len(ends)])
}

// runeLen returns how much of s is an escape of r with one or more backslashes, and 0 if it is
// none.
func runeLen(s string, r rune) int {
	digits := s[backslashes(s):]
	for _, format := range []string{"u%04x", "U%08x"} {
		escape := fmt.Sprintf(format, r)
		if len(digits) < len(s) && len(digits) >= len(escape) && strings.EqualFold(digits[:len(escape)], escape) {
			return len(s) - len(digits) + len(escape)
		}
	}
	return 0
}

// maxDepth is how often something may be escaped: more costs time in texts that a peer has made up.
const maxDepth = 4

// backslashes returns how many s begins with: quoting doubles them.
func backslashes(s string) int {
	n := 0
	for n < len(s) && n < 1<<maxDepth && s[n] == '\\' {
		n++
	}
	return n
}

// entities are the characters that HTML writes in another way.
var entities = map[byte][]string{
	'&': {"&amp;"}, '<': {"&lt;"}, '>': {"&gt;"}, '"': {"&#34;", "&quot;"}, '\'': {"&#39;", "&apos;"},
}

// letters are the escapes of Go and JSON that have a letter.
const letters, lettersMean = "abfnrtv", "\a\b\f\n\r\t\v"

// appendEnds appends the places at which b may end that begins at text[at:]: as it is, escaped for
// a URL or quoted for Go or JSON, up to maxDepth times, or escaped for HTML.
func appendEnds(ends []int, text string, at int, b byte) []int {
	rest := text[at:]
	if rest == "" {
		return ends
	}
	if rest[0] == b {
		ends = append(ends, at+1)
	}
	switch rest[0] {
	case '+':
		if b == ' ' {
			ends = append(ends, at+1)
		}
	case '%':
		for n := 1; n <= 1+maxDepth*len("25"); n += len("25") {
			escaped, ok := hexByte(rest[n:])
			if ok && (escaped == b || escaped == '+' && b == ' ') {
				ends = append(ends, at+n+2)
			}
			if !strings.HasPrefix(rest[n:], "25") { // else "%" is escaped itself
				break
			}
		}
	case '\\':
		n := backslashes(rest) // each of which, escaped or not, may have been one of the secret
		if m := escapeLen(rest[n:], b); m > 0 {
			ends = append(ends, at+n+m)
		}
	case '&':
		for _, entity := range entities[b] {
			if strings.HasPrefix(rest, entity) {
				ends = append(ends, at+len(entity))
			}
		}
	}
	return ends
}

// escapeLen returns how much of s, which follows a backslash, stands for b, and 0 if it does not.
func escapeLen(s string, b byte) int {
	for _, digits := range []string{"x", "u00"} {
		if rest, ok := strings.CutPrefix(s, digits); ok {
			if escaped, ok := hexByte(rest); ok && escaped == b {
				return len(digits) + 2
			}
		}
	}
	switch {
	case s == "":
		return 0
	case s[0] == b: // \"
		return 1
	case strings.IndexByte(letters, s[0]) >= 0 && lettersMean[strings.IndexByte(letters, s[0])] == b:
		return 1
	}
	return 0
}

// withoutURLs cuts the user part, the query and the fragment out of everything in s that looks like
// a URL.
func withoutURLs(s string) string {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "://")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		out.WriteString("://")
		kept, skip := authority(rest)
		out.WriteString(kept)
		s = rest[skip:]
	}
}

// authority takes apart what follows the "://" of a URL. It returns what to show in place of the
// first skip bytes of s.
func authority(s string) (kept string, skip int) {
	// A password may hold anything, if nobody has escaped it: all before the last @ may belong to
	// it, up to where the next URL or line begins.
	area := s
	if i := strings.IndexAny(area, "\r\n\"'`<>"); i >= 0 {
		area = area[:i]
	}
	if i := strings.Index(area, "://"); i >= 0 {
		area = area[:i]
	}
	at := strings.LastIndexByte(area, '@') + 1
	word := area[at:]
	if i := strings.IndexAny(word, " \t"); i >= 0 {
		word = word[:i]
	}
	skip = at + len(word)
	if at > 0 {
		kept = Mark
		if strings.ContainsAny(area[:at], "?#") {
			return kept, skip // the @ may be in a query, which would go on behind it
		}
		kept += "@"
	}
	if i := strings.IndexAny(word, "?#"); i >= 0 {
		word = word[:i+1] + Mark
	}
	return kept + word, skip
}
