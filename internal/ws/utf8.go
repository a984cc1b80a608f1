package ws

import "unicode/utf8"

// A utf8Check checks that text is UTF-8 while it comes in pieces.
type utf8Check struct {
	// part[:n] is the beginning of a character that the last piece did not complete. It can be
	// completed: each byte was checked.
	part [utf8.UTFMax]byte
	n    int
}

// add checks the next piece, and reports whether the text can still become UTF-8.
func (c *utf8Check) add(p []byte) bool {
	for c.n > 0 && len(p) > 0 {
		c.part[c.n] = p[0]
		c.n++
		p = p[1:]
		if utf8.FullRune(c.part[:c.n]) { // complete, or already wrong
			if !utf8.Valid(c.part[:c.n]) {
				return false
			}
			c.n = 0
		}
	}
	whole := len(p)
	for i := len(p) - 1; i >= 0 && i > len(p)-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				whole = i
				c.n = copy(c.part[:], p[i:])
			}
			break
		}
	}
	return utf8.Valid(p[:whole])
}

// complete reports whether the text ends at the end of a character.
func (c *utf8Check) complete() bool { return c.n == 0 }
