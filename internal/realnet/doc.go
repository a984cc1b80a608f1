// Package realnet runs the library over a real network: the kernels of two network namespaces and
// between them a path that loses, delays, reorders and swallows packets. Clients hold numbered
// conversations with the fake gateway meanwhile, and an audit compares what they were told with
// what has arrived.
//
//	go test -tags realnet -v ./internal/realnet
//
// It needs root on Linux, hence the build tag. The audit is tested without.
package realnet
