package apigws

import (
	"net"
	"testing"
)

// endless wraps itself.
type endless struct{ net.Conn }

func (e endless) NetConn() net.Conn { return e }

func TestSocketOfEndless(t *testing.T) {
	if got := tcpUnder(endless{}); got != nil {
		t.Error(got)
	}
	if got := tcpUnder(nil); got != nil {
		t.Error(got)
	}
}
