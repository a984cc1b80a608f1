// Package documents tests that every document shows code which is compiled, and names tests which
// exist. It is a module of its own because it reads files of all modules, which are not in the
// archive of the root module.
package documents
