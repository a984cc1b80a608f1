// Package gatewaytest is a fake Amazon API Gateway WebSocket API for tests, in the manner of net/http/httptest.
package gatewaytest
