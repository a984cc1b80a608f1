// Package snippets holds the Go code of the documents where no example has it. internal/documents
// tests that every document shows code which is compiled.
package snippets
