package apigws_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apigws/apigws"
	"github.com/apigws/apigws/gatewaytest"
	"github.com/apigws/apigws/internal/clienttest"
)

// A connection that was lost in OnConnect is not used, although OnConnect returns no error: the
// client is not open with it.
func TestConnectionLostInOnConnectIsNotOpened(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		c := clienttest.Dial(t, gw, &apigws.Options{
			OnState:   j.Note,
			Reconnect: clienttest.Every(time.Second),
			OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
				if conn.Generation() == 1 {
					clienttest.Only(t, gw).Close(1011, "")
					<-ctx.Done()
				}
				return nil
			},
		})
		synctest.Wait()
		clienttest.Equal(t, "states", states(&j), []apigws.State{apigws.StateBackoff, apigws.StateConnecting, apigws.StateOpen})
		if s := c.Stats(); s.Generation != 2 || s.ConnectErrors != 1 {
			t.Errorf("Stats = %+v, want the second connection after one error", s)
		}
	})
}

// Nor does a rotation move to it: the old connection stays until there is a sound one.
func TestRotationDoesNotMoveToALostConnection(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		c := clienttest.Dial(t, gw, &apigws.Options{
			OnState:   j.Note,
			Reconnect: clienttest.Every(time.Second),
			OnConnect: func(ctx context.Context, conn *apigws.Conn) error {
				if conn.Generation() == 2 {
					gw.Conns()[1].Close(1011, "")
					<-ctx.Done()
				}
				return nil
			},
		})
		clienttest.Rotate(t, c)
		synctest.Wait()
		clienttest.Equal(t, "states", states(&j), []apigws.State{apigws.StateOpen, apigws.StateOpen})
		if s := c.Stats(); s.Generation != 3 || s.Rotations != 1 || s.LostClosed != 0 {
			t.Errorf("Stats = %+v, want one rotation to the third connection", s)
		}
	})
}

// A client that is closed while OnConnect runs does not open the connection, although OnConnect
// pays no heed to its context.
func TestCloseDuringOnConnect(t *testing.T) {
	clienttest.Bubble(t, clienttest.Silent(), func(t *testing.T, gw *gatewaytest.Server) {
		var j clienttest.Journal
		release := make(chan struct{})
		c := clienttest.New(t, gw, &apigws.Options{
			OnState:   j.Note,
			OnConnect: func(context.Context, *apigws.Conn) error { <-release; return nil },
		})
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- c.Close() }()
		synctest.Wait()
		close(release)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		clienttest.Equal(t, "states", states(&j), []apigws.State{apigws.StateClosed})
		if s := c.Stats(); s.Generation != 0 || s.ConnectErrors != 1 {
			t.Errorf("Stats = %+v, want no connection and one error", s)
		}
		gone(t, gw, c)
	})
}

// states returns the states that OnState was told of.
func states(j *clienttest.Journal) []apigws.State {
	var all []apigws.State
	for _, change := range j.All() {
		all = append(all, change.To)
	}
	return all
}
