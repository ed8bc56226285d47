package publish

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// daemonTransport speaks HTTP to a host as DOCKER_HOST has it, and tells the URL that paths come after. No connection outlives its
// request, so there is none to close.
func daemonTransport(host string, config *tls.Config) (transport *http.Transport, base string, err error) {
	u, err := url.Parse(host)
	if err != nil {
		return nil, "", fmt.Errorf("its address is no URL; write unix:///path or tcp://host:port")
	}
	network, address := u.Scheme, u.Host
	switch {
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, "", fmt.Errorf("its address %s://… has more than a place; write unix:///path or tcp://host:port", u.Scheme)
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		address, base = u.Path, "http://docker"
	case u.Scheme == "tcp" && u.Port() != "" && (u.Path == "" || u.Path == "/"):
		base = "http://" + u.Host
		if config != nil {
			base = "https://" + u.Host
		}
	default:
		return nil, "", fmt.Errorf("its address %q is not of the form unix:///path or tcp://host:port", host)
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		TLSClientConfig:   config,
		DisableKeepAlives: true,
	}, base, nil
}
