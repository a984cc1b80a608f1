// Package cli has what the subcommands share: exit codes, errors that say what to do, and the
// flag --json.
package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Exit codes. They are a promise: docs/command.md and the help list them, and scripts test them.
const (
	Failed         = 1   // anything without a code of its own
	Usage          = 2   // wrong arguments or flags
	NotConnected   = 3   // the handshake was refused, or no connection came about in time
	Unacknowledged = 4   // a message was not sent, or the gateway did not acknowledge it
	GatewayError   = 5   // the gateway answered a message with an error frame
	Interrupted    = 130 // Ctrl-C or SIGTERM
)

// ExitCodes is the text about them in the help.
const ExitCodes = `Exit codes:
    0  done
    1  failed for a reason not listed here
    2  wrong arguments or flags
    3  not connected: the handshake was refused, or no connection came about in time
    4  a message was not sent, or the gateway did not acknowledge it
    5  the gateway answered a message with an error frame, such as "Forbidden"
  130  interrupted by Ctrl-C or SIGTERM`

// An Error ends the command with a code of its own.
type Error struct {
	Code int    // of the exit
	Err  error  // what went wrong
	Hint string // what to do about it; may have several lines
}

// Error returns the text of Err. The hint is printed apart.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Usagef returns an error about wrong arguments.
func Usagef(format string, args ...any) error {
	return &Error{Code: Usage, Err: fmt.Errorf(format, args...)}
}

// Report prints err and its hint as people or, with asJSON, scripts read it, and returns the exit
// code.
func Report(w io.Writer, err error, asJSON bool) int {
	e := &Error{Code: Failed, Err: err}
	errors.As(err, &e)
	switch {
	case asJSON:
		json.NewEncoder(w).Encode(struct {
			Error string `json:"error"`
			Hint  string `json:"hint,omitempty"`
			Exit  int    `json:"exit"`
		}{err.Error(), e.Hint, e.Code})
	case e.Hint != "":
		fmt.Fprintf(w, "apigws: %v\n%s\n", err, e.Hint)
	default:
		fmt.Fprintf(w, "apigws: %v\n", err)
	}
	return e.Code
}

// JSON reports whether the flag --json of the root command is set.
func JSON(cmd *cobra.Command) bool {
	asJSON, _ := cmd.Flags().GetBool("json") // there is none in tests of a subcommand alone
	return asJSON
}

// OneURL is the Args of a subcommand that takes a URL.
func OneURL(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return &Error{Code: Usage, Err: fmt.Errorf("%s takes one URL, and %d arguments were given", cmd.Name(), len(args)),
			Hint: "Such as wss://abc123.execute-api.eu-west-1.amazonaws.com/prod"}
	}
	return nil
}
