package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/apigws/apigws/cmd/apigws/internal/cli"
	"github.com/apigws/apigws/cmd/apigws/internal/connect"
	"github.com/apigws/apigws/cmd/apigws/internal/costs"
	"github.com/apigws/apigws/cmd/apigws/internal/gateway"
	"github.com/apigws/apigws/cmd/apigws/internal/probe"
)

const long = `apigws works with WebSocket APIs of Amazon API Gateway from a terminal.

` + cli.ExitCodes

// newRoot returns the command with its subcommands. Each is in a package of its own, which exports
// Command.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "apigws",
		Short:         "Work with WebSocket APIs of Amazon API Gateway",
		Long:          long,
		SilenceErrors: true, // run reports them
		SilenceUsage:  true,
	}
	root.PersistentFlags().Bool("json", false, "print JSON, one object a line")
	root.AddCommand(
		connect.Command(),
		costs.Command(),
		gateway.Command(),
		probe.Command(),
		versionCommand(),
	)
	return root
}

// run runs the command with args and returns its exit code. It stops early when ctx ends.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }

	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var coded *cli.Error
	if !started && !errors.As(err, &coded) { // cobra did not like the arguments
		err = &cli.Error{Code: cli.Usage, Err: err, Hint: "See: " + cmd.CommandPath() + " --help"}
	}
	return cli.Report(stderr, err, cli.JSON(cmd))
}
