package sigv4

import (
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/apigws/apigws"
)

// region returns the region to sign for.
func (s *signer) region(host string) (string, error) {
	read := regionOf(host)
	switch given := s.opts.Region; {
	case given == "" && read == "":
		return "", &apigws.OptionError{Field: "sigv4.Options.Region",
			Problem: fmt.Sprintf("is needed: the host %s names none", host)}
	case given == "":
		return read, nil
	case read != "" && read != given:
		// The gateway would refuse each handshake, and not say why to a client
		// that shows the status only.
		return "", &apigws.OptionError{Field: "sigv4.Options.Region",
			Problem: fmt.Sprintf("is %s, and the host %s is in %s", given, host, read)}
	}
	return s.opts.Region, nil
}

// regionName tells a region from a part of somebody's domain.
var regionName = regexp.MustCompile(`^[a-z]+(-[a-z]+)+-[0-9]+$`)

// regionOf reads the region out of the host of an API, and returns "" when it
// names none. In every partition, and for FIPS and VPC endpoints too, the
// region is what follows the service:
//
//	abc123.execute-api.eu-west-1.amazonaws.com
//	abc123.execute-api.cn-north-1.amazonaws.com.cn
//	abc123.execute-api-fips.us-gov-west-1.amazonaws.com
//	vpce-0123.execute-api.eu-west-1.vpce.amazonaws.com
func regionOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	labels := strings.Split(strings.ToLower(host), ".")
	for i, label := range labels[:len(labels)-1] {
		if (label == "execute-api" || label == "execute-api-fips") && regionName.MatchString(labels[i+1]) {
			return labels[i+1]
		}
	}
	return ""
}
