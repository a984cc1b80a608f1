package connect

import (
	"bufio"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// newPrompt returns a line editor on a terminal in raw mode. file keeps its history; "" keeps it in
// memory alone.
func newPrompt(tty io.ReadWriter, file string) *term.Terminal {
	t := term.NewTerminal(tty, "> ")
	t.History = newHistory(file)
	t.AutoCompleteCallback = completeCommand
	return t
}

// An abovePrompt prints above the prompt.
type abovePrompt struct {
	tty    io.Writer
	prompt *term.Terminal
}

// Write clears the prompt, prints text and draws the prompt again. The line editor clears as many
// columns as there are characters to the left of the cursor, which are too few where some are two
// columns wide; from the first column it clears them all.
func (a abovePrompt) Write(text []byte) (int, error) {
	io.WriteString(a.tty, "\r")
	return a.prompt.Write(text)
}

// completeCommand completes the name of a command on Tab.
func completeCommand(line string, pos int, key rune) (string, int, bool) {
	if key != '\t' || pos != len(line) || !strings.HasPrefix(line, "/") {
		return "", 0, false
	}
	var found string
	for _, c := range commands {
		if strings.HasPrefix(c.name, line) {
			if found != "" {
				return "", 0, false
			}
			found = c.name
		}
	}
	if found == "" {
		return "", 0, false
	}
	return found, len(found), true
}

// maxHistory is how many lines the history has.
const maxHistory = 1000

// A history keeps what was typed, the oldest first. A line that begins with a space is not kept,
// nor is one that repeats the one before.
type history struct {
	lines []string
	file  string
}

func newHistory(file string) *history {
	h := &history{file: file}
	if file == "" {
		return h
	}
	f, err := os.Open(file)
	if err != nil { // there is none yet
		return h
	}
	defer f.Close()
	for scan := bufio.NewScanner(f); scan.Scan(); {
		h.keep(scan.Text())
	}
	return h
}

func (h *history) keep(line string) {
	h.lines = append(h.lines, line)
	if len(h.lines) > maxHistory {
		h.lines = h.lines[len(h.lines)-maxHistory:]
	}
}

// Add is called by the line editor.
func (h *history) Add(line string) {
	if line == "" || line[0] == ' ' || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	h.keep(line)
	if h.file == "" {
		return
	}
	f, err := os.OpenFile(h.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return // the session is worth more than its history
	}
	defer f.Close()
	f.WriteString(line + "\n")
}

// Len is called by the line editor.
func (h *history) Len() int { return len(h.lines) }

// At is called by the line editor. 0 is the line added last.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
