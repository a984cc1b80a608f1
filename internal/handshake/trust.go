package handshake

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
)

// Untrusted reports whether err is a permanent failure to trust the server: a certificate that
// does not verify, or an answer in plain text where TLS was dialled.
func Untrusted(err error) bool {
	var (
		notTLS       tls.RecordHeaderError
		verification *tls.CertificateVerificationError
		hostname     x509.HostnameError // these come unwrapped from a VerifyConnection of the user
		authority    x509.UnknownAuthorityError
		invalid      x509.CertificateInvalidError
	)
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &notTLS) || errors.As(err, &verification) ||
		errors.As(err, &hostname) || errors.As(err, &authority) || errors.As(err, &invalid)
}
