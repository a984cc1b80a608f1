// Package apigws keeps a client connected to a WebSocket API of Amazon API
// Gateway.
//
// The gateway holds connections and forwards their events to a backend;
// everything else is left to the two ends. It cuts connections that are
// silent, ends every connection after two hours, closes on frames over 32 KB,
// and gives each new connection a new id. A [Client] stays under these limits
// by itself:
//
//	c, err := apigws.Dial(ctx, "wss://abc123.execute-api.eu-west-1.amazonaws.com/prod", nil)
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	for msg, err := range c.Messages(ctx) {
//		...
//	}
//
// # Staying connected
//
// After 55 seconds in which nothing was received, a PING is sent; a connection
// that then brings nothing for 10 seconds is dead. With Keepalive.Message the
// client also sends data, for paths on which only data counts. A broken
// connection is replaced after a random wait that grows from half a second to
// 30 seconds, without an end; a connection that is 105 to 110 minutes old is
// renewed: the next one is made, and OnConnect run on it, before the old one
// is closed.
//
// After the sleep of a suspended machine, in which timers stand still, a
// connection past its age is renewed within one Keepalive.Timeout of waking,
// and a dead one is noticed within two: one until the clocks are compared, one
// for the PONG. In a process of many clients, which runs on no laptop, they
// compare less often: a Timeout later for each thousand, at the latest after
// Keepalive.Interval. A wall clock that is set looks like a sleep at worst; it
// costs no connection.
//
// # Delivery
//
// Write hands a message to the operating system once. Its error tells what is
// known when a connection breaks: ErrNotSent, nothing that could be delivered
// has left; ErrUnconfirmed, it may have arrived. A message that a break cuts
// short cannot be delivered by the gateway, so it is sent whole on the next
// connection without asking. What a connection took and lost without a trace
// is told by Flush, which returns nil only when a PONG has proven that the
// gateway has everything: PONGs come in the order of what they follow.
//
// With Options.Resend delivery is at least once: messages are kept until such
// a PONG, and go out again first and in order on the next connection. A
// message may then arrive twice; it is not lost. What the gateway does with
// it, and whether its integration succeeds, is beyond this: a backend that
// must not miss a message acknowledges it in a message of its own.
//
// In the other direction every message that a connection brought is returned by Read, also when its
// OnConnect has failed; only then, and only while nobody reads what waits already, is it dropped.
// What the backend sends while no connection is open fails there: POST @connections answers 410.
// Conn.Gap tells OnConnect how long that was.
//
// # Ordering
//
// Messages written by one goroutine reach the gateway in the order of the
// writes, also across reconnects and rotations. Messages are read in the order
// in which their connection brought them. During a rotation two connections
// are read at once, and nothing orders the messages of one against those of
// the other.
//
// # Concurrency
//
// All methods of Client and Conn may be called concurrently. A client uses two
// goroutines: one runs its life, one reads the connection. More exist for as
// long as something waits: a PING being written, a rotation, a connection
// being closed, a hook. OnState and OnGatewayError are called in order on a
// goroutine of their own, OnConnect on the one that makes the connection;
// IsReply on the reader's. A hook may call the client back, with these
// exceptions: inside OnConnect, use the Conn, because the client's own methods
// wait for the connection that OnConnect holds up, as Prepare and Retry do too;
// and Close called from a hook does not wait.
//
// # Cancelling and closing
//
// A context ends the wait of the call that it was given to and nothing else:
// the connection stays, and no message is lost or cut in two. Close ends the
// client: it stops taking writes, asks the gateway to confirm the earlier
// ones, performs the close handshake, and returns when every goroutine has
// ended. The client closes what it has made; an http.Client that was passed in
// stays the caller's.
//
// # Testing
//
// Package gatewaytest is a fake gateway with the same limits, in process and,
// in a testing/synctest bubble, in compressed time.
package apigws
