// Package snippets holds the Go code of the documents where no example has it, and tests that every
// document shows code which is compiled, and names tests which exist.
package snippets
