// Package gatewaytest is a fake Amazon API Gateway WebSocket API, for tests of clients and of
// backends without AWS, in the manner of net/http/httptest.
//
//	gw := gatewaytest.Run(t, nil) // an echo, closed at the end of the test
//	// dial gw.URL with gw.Client()
//	conn, err := gw.Accept(ctx)  // the gateway's end of the connection
//	msg, err := conn.Next(ctx)   // what the client has sent
//	err = conn.Send([]byte("hello"))
//	code, reason, err := conn.Wait(ctx) // how it has ended
//
// It enforces the limits of the real gateway with the close codes of the real gateway: silence,
// lifetime, sizes of frames and messages, text only. It routes messages to Handlers, which get the
// proxy events that a Lambda function gets, asks authorizers, and serves @connections.
//
// # Servers
//
// Run and NewServer listen on a TCP port, NewTLSServer does so with TLS. RunInMemory and
// NewInMemory have no socket and work in a bubble of testing/synctest, where two hours pass in a
// millisecond and a limit holds to the nanosecond:
//
//	synctest.Test(t, func(t *testing.T) {
//		gw := gatewaytest.RunInMemory(t, nil)
//		// dial with gw.Client()
//		time.Sleep(2 * time.Minute)
//		synctest.Wait() // the gateway has cut the silent connection
//	})
//
// Make the Server inside the bubble. Timers that are due at the same instant fire in no particular
// order, so test just before and just after a limit.
//
// # Backends
//
// Config.Backend or Config.Routes are the backend: functions of Go as Handlers, functions written
// for AWS Lambda through Lambda, functions of any language through InvokeLambda, servers through
// HTTPProxy. Silent answers nothing. Config.Authorizer decides on handshakes as a Lambda REQUEST
// authorizer does. Server.Deploy replaces all of it while connections stay open, and Config.Observe
// tells a program what happens.
//
// # Faults
//
// Drop, Close, Freeze, SendRaw and SetFaults of a Conn, and Refuse, Hold and SetFaults of the
// Server, make things go wrong; see Faults.
//
// # What is real
//
// The behaviour follows the AWS developer guide ("documented") and, where that is silent, reports
// of captures and measurements ("captured", "measured"). Where reports contradict each other, or
// where there are none ("an inference", "not known"), a field of Config decides and its comment
// says so. This project has measured none of it on AWS; docs/gateway.md links the sources that are
// known.
//
// These things the real gateway does and this one does not: it negotiates permessage-deflate,
// limits the requests and messages a second of an account, validates messages against models, and
// checks signatures. ErrInvalidBody, Config.Authorize and Config.AuthorizeManagement are for the
// last two.
package gatewaytest
