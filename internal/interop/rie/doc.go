// Package rie runs functions behind the fake gateway as AWS runs them: in AWS's own runtime
// interface emulator, which the tests build from the Go module proxy, and which calls the
// function of examples/lambda unchanged. It is a module of its own, so that the library does
// without AWS's packages.
package rie
