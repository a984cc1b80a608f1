package redact

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// An opaque is an error whose text has been chosen. What it was made of stays behind functions, out
// of the reach of what prints or walks values.
type opaque struct {
	text               string
	is                 func(target error) bool
	as                 func(target any) bool
	timeout, temporary bool
}

func (e *opaque) Error() string { return e.text }

// Is and As stand for an Unwrap, which would give away the text of the error inside.
func (e *opaque) Is(target error) bool { return e.is(target) }
func (e *opaque) As(target any) bool   { return e.as(target) }

// Timeout and Temporary make it a net.Error.
func (e *opaque) Timeout() bool   { return e.timeout }
func (e *opaque) Temporary() bool { return e.temporary }

// Hook returns an error for one of a function of the user. Its text is that of err without the
// secrets. errors.Is finds everything in err, errors.As every type in it whose text has none of
// them, other than *url.Error, and no interface.
func (s *Secrets) Hook(err error) error {
	return hide(err, s.Text(err.Error()), s.clean)
}

// Transport returns an error for one of an HTTP transport or of a connection that one has made. Its
// text is made of what is known to hold no secret: operation, address, errors of the operating
// system, of DNS and of certificates; of anything else it names the type. errors.Is and errors.As
// work as with Hook; the types of the standard library are found if all that they hold is known.
func (s *Secrets) Transport(err error) error {
	text, _ := describe(err)
	if text == "" {
		text = typeName(err)
	}
	return hide(err, s.Text(text), func(found error) bool {
		_, exact := describe(found)
		return (exact || !isStandard(reflect.TypeOf(found))) && s.clean(found)
	})
}

// clean reports whether neither the text of err nor those of the errors in it have anything to
// hide.
func (s *Secrets) clean(err error) bool {
	text := err.Error()
	if s.Text(text) != text {
		return false
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		inner := e.Unwrap()
		return inner == nil || s.clean(inner)
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(e.Unwrap(), func(inner error) bool { return !s.clean(inner) })
	}
	return true
}

func hide(err error, text string, mayShow func(error) bool) error {
	e := &opaque{text: text}
	e.is = func(target error) bool { return errors.Is(err, target) }
	e.as = func(target any) bool {
		// An interface would get whatever error implements it.
		kind := reflect.TypeOf(target).Elem()
		if _, ok := target.(**url.Error); ok || kind.Kind() == reflect.Interface {
			return false
		}
		found := reflect.New(kind)
		if !errors.As(err, found.Interface()) || !mayShow(found.Elem().Interface().(error)) {
			return false
		}
		reflect.ValueOf(target).Elem().Set(found.Elem())
		return true
	}
	var timeout interface{ Timeout() bool }
	e.timeout = errors.As(err, &timeout) && timeout.Timeout()
	var temporary interface{ Temporary() bool }
	e.temporary = errors.As(err, &temporary) && temporary.Temporary()
	return e
}

// describe returns what can be said of err, and whether the text of err says no more than what is
// known to hold no secret.
func describe(err error) (text string, exact bool) {
	if err == nil {
		return "", false
	}
	if text := fixed(err); text != "" {
		return text, true
	}
	switch e := err.(type) {
	case *net.OpError:
		return describeOp(e)
	case *net.DNSError:
		return describeDNS(e)
	case *os.SyscallError:
		text, exact = describe(e.Err)
		return text, exact && isWord(e.Syscall)
	case tls.RecordHeaderError:
		return "the answer is not TLS", true
	case *tls.CertificateVerificationError:
		if text, _ = describe(e.Err); text == "" {
			text = "the certificate does not verify"
		}
		return text, true // the errors of certificate authorities, also where the system words them
	case x509.HostnameError, x509.UnknownAuthorityError, x509.CertificateInvalidError,
		x509.ConstraintViolationError, x509.UnhandledCriticalExtension, x509.InsecureAlgorithmError:
		return strings.ToValidUTF8(strings.Map(printable, err.Error()), "?"), true
	case textproto.ProtocolError:
		return "the answer is not HTTP", false
	case *url.Error:
		if e.Op == "parse" {
			return "a URL that cannot be parsed", false
		}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			text, _ = describe(inner)
		}
	case interface{ Unwrap() []error }:
		var texts []string
		for _, inner := range e.Unwrap() {
			if text, _ := describe(inner); text != "" {
				texts = append(texts, text)
			}
		}
		text = strings.Join(texts, ", ")
	}
	if text == "" {
		text = meaning(err)
	}
	if timeout, ok := err.(interface{ Timeout() bool }); text == "" && ok && timeout.Timeout() {
		text = "timeout"
	}
	return text, false
}

// constants are errors whose text is always the same.
var constants = []error{
	io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, io.ErrShortWrite, io.ErrNoProgress,
	net.ErrClosed, os.ErrClosed, os.ErrDeadlineExceeded, context.Canceled, context.DeadlineExceeded,
	http.ErrSchemeMismatch,
}

// meanings say what errors without a type of their own mean, as net/http makes them, by how their
// texts begin.
var meanings = []struct{ begin, meaning string }{
	{"malformed HTTP ", "the answer is not HTTP"},
	{"net/http: server response headers exceeded ", "the header of the answer is too large"},
	{"http: server closed idle connection", "the server has closed the connection"},
	{"http: idle connection timeout", "the connection was idle for too long"},
	{"http2: invalid Upgrade request header", "the transport has negotiated HTTP/2, which has no Upgrade"},
	{"net/http: Transport.Dial", "the transport's dialler has returned nothing"},
	{"readLoopPeekFailLocked: ", "the server has answered before it was asked"},
	{"net/http: request canceled", "the request was cancelled"},
	{"invalid proxy address ", "the address of the proxy cannot be parsed"},
	{"unknown status code", "the answer is not HTTP"},
}

// meaning returns what the text of an error without a type of its own means, and "" if that is not
// known. It is never a part of the text.
func meaning(err error) string {
	if name := fmt.Sprintf("%T", err); name != "*errors.errorString" && name != "*fmt.wrapError" {
		return ""
	}
	text := err.Error()
	for _, m := range meanings {
		if strings.HasPrefix(text, m.begin) {
			return m.meaning
		}
	}
	// The refusal of a proxy.
	for code := 300; code < 600; code++ {
		if known := http.StatusText(code); known != "" && known == text {
			return strconv.Itoa(code) + " " + known
		}
	}
	return ""
}

// fixed returns the text of err if it is one of a fixed set, and "" if it may be any text.
func fixed(err error) string {
	if slices.Contains(constants, err) {
		return err.Error()
	}
	kind := reflect.TypeOf(err)
	if isStandard(kind) {
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		// A number, such as syscall.Errno or an alert of TLS, or nothing at all.
		switch kind.Kind() {
		case reflect.Uint8, reflect.Uint32, reflect.Uint64, reflect.Uint, reflect.Uintptr, reflect.Int:
			return err.Error()
		case reflect.Struct:
			if kind.NumField() == 0 {
				return err.Error()
			}
		}
	}
	return ""
}

// ops and networks are the values of Op and Net in a *net.OpError.
var (
	ops = []string{"dial", "proxyconnect", "socks connect", "read", "write", "close", "set",
		"local error", "remote error"}
	networks = []string{"tcp", "tcp4", "tcp6", "unix"}
)

func describeOp(e *net.OpError) (text string, exact bool) {
	text, exact = describe(e.Err)
	if text == "" {
		text = typeName(e.Err)
	}
	operation := ""
	if slices.Contains(ops, e.Op) {
		operation = e.Op
	}
	if slices.Contains(networks, e.Net) {
		operation += " " + e.Net
	}
	if addr, ok := e.Addr.(*net.TCPAddr); ok {
		operation += " " + addr.String()
	}
	exact = exact && slices.Contains(ops, e.Op) && (e.Net == "" || slices.Contains(networks, e.Net)) &&
		isTCP(e.Addr) && isTCP(e.Source)
	if operation = strings.TrimSpace(operation); operation != "" {
		text = operation + ": " + text
	}
	return text, exact
}

func isTCP(addr net.Addr) bool {
	_, ok := addr.(*net.TCPAddr)
	return ok || addr == nil
}

func describeDNS(e *net.DNSError) (text string, exact bool) {
	text = "lookup"
	if isHost(e.Name) {
		text += " " + e.Name
	}
	switch {
	case e.IsNotFound:
		text += ": no such host"
	case e.IsTimeout:
		text += ": timeout"
	default:
		text += ": the name server failed"
	}
	return text, isHost(e.Name)
}

func isHost(s string) bool {
	return s != "" && len(s) <= 253 && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' || r == ':')
	}) < 0
}

func isWord(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_') }) < 0
}

func printable(r rune) rune {
	if strconv.IsPrint(r) {
		return r
	}
	return '?'
}

// standard are the packages of the standard library whose errors a connection may end with.
var standard = []string{"context", "crypto/tls", "crypto/x509", "errors", "fmt", "internal/poll", "io/fs",
	"net", "net/http", "net/textproto", "net/url", "os", "syscall"}

// isStandard reports whether a type, or what it points to, is in one of them.
func isStandard(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return slices.Contains(standard, t.PkgPath())
}

// wrappers are types that say nothing.
var wrappers = []string{"*fmt.wrapError", "*fmt.wrapErrors", "*errors.joinError", "*url.Error"}

// typeName names the first type in err that is not a wrapper.
func typeName(err error) string {
	for err != nil && slices.Contains(wrappers, fmt.Sprintf("%T", err)) {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	return fmt.Sprintf("%T", err)
}
