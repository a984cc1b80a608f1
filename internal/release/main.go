// Command release prepares a release of all modules of this repository, and checks that the modules
// can be used once they are tagged. docs/releasing.md describes how releases are made.
//
//	go run -C internal/release . check             // what ci/release-check.sh does
//	go run -C internal/release . prepare v0.2.0    // edits go.mod files, go.work and CHANGELOG.md
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// published are the folders of the modules that are tagged. All others are for this repository
// only: bench, examples and what is internal.
var published = []string{".", "sigv4", "metrics/prometheus", "metrics/otel", "cmd/apigws"}

func main() {
	root, err := filepath.Abs("../..")
	if err == nil {
		err = run(repo{root, published}, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(r repo, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "check":
		return r.check()
	case len(args) == 2 && args[0] == "prepare":
		if err := r.prepare(args[1], time.Now()); err != nil {
			return err
		}
		fmt.Print(r.nextSteps(args[1]))
		return nil
	}
	return fmt.Errorf("usage: release check | release prepare VERSION")
}
