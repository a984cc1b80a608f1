// Package apigws keeps a client connected to a WebSocket API of Amazon API Gateway.
//
// The gateway holds connections and forwards their events to a backend. It ends a connection that
// is silent, ends every connection after two hours, closes on frames over 32 KB, and gives each new
// connection a new id. A [Client] stays under these limits:
//
//	c, err := apigws.Dial(ctx, "wss://abc123.execute-api.eu-west-1.amazonaws.com/prod", nil)
//	if err != nil {
//		return err // ctx has ended, or the gateway has refused the client
//	}
//	for msg, err := range c.Messages(ctx) {
//		if err != nil {
//			return errors.Join(err, c.Close())
//		}
//		handle(msg)
//	}
//
// # Staying connected
//
// A PING is sent after 55 seconds in which nothing was received, and within 10 seconds of a message
// that is not acknowledged yet; if nothing at all comes in for 10 seconds after it, the connection
// is lost. With Keepalive.Message the client also sends data, for paths on which only data counts.
// A lost connection is replaced after a random wait, which grows from half a second to 30 seconds.
// There is no limit to the number of attempts. A connection that is 105 to 110 minutes old is
// rotated: the next one is made, and OnConnect runs on it, before the old one is closed.
//
// In a suspended machine timers stand still. After it wakes, a connection past its age is rotated
// within one Keepalive.Timeout, and a dead one is noticed within two: one until the clocks are
// compared, one for the PONG. A process of many clients compares them less often: a Timeout later
// for each thousand, but at least each Keepalive.Interval. A wall clock that is set looks like a
// suspension at worst, and does not cost the connection. A process that was stopped for a while
// keeps its connection, too: a late tick concludes nothing until the socket has been read.
//
// Some failures are permanent: wrong options, refusals such as 403, a certificate that does not
// verify. They end the client, in Dial at once; see [Retryable] and Reconnect.Retry. The client
// retries after all others, and reports them to the logger.
//
// # Delivery
//
// Write gives a message to the operating system once. Its error says what is known when a
// connection is lost: ErrNotSent, nothing was sent that could be delivered; ErrUnconfirmed, it may
// have arrived. A message that was truncated cannot be delivered by the gateway, so it is sent
// whole on the next connection. Messages whose Write returned nil, and which a lost connection may
// have lost all the same, are reported by the next Flush; those are the messages of about the last
// Keepalive.Timeout. Flush returns nil only if a PONG has proven that the gateway has everything:
// PONGs come in the order of what they follow.
//
// With Options.Resend delivery is at least once: messages are kept until such a PONG, and go out
// again first and in order on the next connection. A message may then arrive twice; it is not lost.
// A PONG does not say that the gateway has processed a message, or that its integration succeeded:
// if a message matters, let the backend answer it.
//
// In the other direction Read returns every message that a connection brought, with the exceptions
// that Stats.Dropped counts. What the backend sends while no connection is open fails there: POST
// @connections answers 410. Conn.Gap tells OnConnect how long that was.
//
// # Ordering
//
// Messages written by one goroutine reach the gateway in the order of the writes, also across
// reconnects and rotations. Messages are read in the order in which their connection brought them.
// During a rotation two connections are read at once, for Reconnect.Drain. Nothing orders the
// messages of one against those of the other, and what the backend broadcasts to both arrives
// twice: let OnRetire unsubscribe, or drop duplicates by an id of the application's.
//
// # Concurrency
//
// All methods of Client and Conn may be called concurrently. An idle client has one goroutine,
// which reads the connection. More exist while there is something to do: a handshake, a PING, a
// rotation, a connection that is closed, a hook. No hook runs twice at once. OnState and
// OnGatewayError are called in order on a goroutine of their own, and so is the logger; IsReply on
// the goroutine that reads; the others each on a goroutine of its own that the client waits for. A
// hook may call the client, may panic, which ends the process, and may call runtime.Goexit, as
// t.FailNow does. Two exceptions: inside OnConnect use the Conn, because the client's own methods
// wait for the connection that OnConnect holds up (so do Prepare and Retry); and Close, called from
// a hook, does not wait.
//
// # Cancelling and closing
//
// A context ends the wait of the call that it was given to and nothing else: the connection stays,
// and no message is lost or truncated. Close ends the client: it refuses further writes, asks the
// gateway to acknowledge the earlier ones, performs the close handshake, and returns when every
// goroutine has ended. The client closes what it has made; an http.Client that was passed in stays
// the caller's.
//
// # Testing
//
// Package gatewaytest is a fake gateway with the same limits, in process and, in a testing/synctest
// bubble, in compressed time.
package apigws
