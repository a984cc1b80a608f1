package apigws_test

import (
	"context"
	"testing"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// A Read of a Conn that still waits when OnConnect returns ends then.
func TestConnReadEndsWithItsHook(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		results := make(chan error, 2)
		clienttest.Dial(t, gw, &apigws.Options{OnConnect: func(_ context.Context, conn *apigws.Conn) error {
			go func() {
				_, err := conn.Read(context.Background())
				results <- err
			}()
			go func() {
				_, err := conn.ReadMatch(context.Background(), func([]byte) bool { return true })
				results <- err
			}()
			clienttest.Sleep(0)
			return nil
		}})
		for range 2 {
			if err := <-results; err == nil {
				t.Error("Read after OnConnect has returned a message")
			}
		}
	})
}
