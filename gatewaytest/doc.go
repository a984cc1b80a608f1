// Package gatewaytest is a fake Amazon API Gateway WebSocket API, for tests of clients and of
// backends without AWS, in the manner of net/http/httptest.
//
//	s := gatewaytest.NewServer(nil) // echoes messages
//	defer s.Close()
//	// dial s.URL with s.Client(), look at s.Conns() and s.Stats()
//
// It enforces the limits of the real gateway with the close codes of the real gateway: silence,
// lifetime, sizes of frames and messages, text only. It routes messages to handlers, which get the
// proxy events that a Lambda function gets, and serves @connections to them; see Handler and
// Lambda. And it goes wrong on demand: see Faults and the methods of Conn and Server.
//
// # Compressed time
//
// NewInMemory has no socket and works in a bubble of testing/synctest, where two hours pass in a
// millisecond and a limit holds to the nanosecond:
//
//	synctest.Test(t, func(t *testing.T) {
//		s := gatewaytest.NewInMemory(nil)
//		defer s.Close()
//		// dial with s.Client()
//		time.Sleep(2 * time.Minute)
//		synctest.Wait() // the gateway has cut the silent connection
//	})
//
// Make the Server inside the bubble. Timers that are due at the same instant fire in no particular
// order, so test just before and just after a limit.
//
// # What is real
//
// The behaviour follows the AWS developer guide ("documented") and, where that is silent, captures
// and measurements that others have published ("captured", "measured"). Where those contradict each
// other, or where there are none ("an inference", "not known"), a field of Config decides and its
// comment says so. Nothing of it was measured on AWS by this project.
//
// These things the real gateway does and this one does not: it negotiates permessage-deflate, runs
// the messages of one connection concurrently, limits requests and messages a second, and checks
// signatures. Config.Authorize and Config.AuthorizeManagement are for the last.
package gatewaytest
