package oci

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/org/nixery-action/internal/bounded"
)

// limitedTransport is the transport to registries. It keeps plain HTTP, and unverified certificates, to the hosts where they are
// allowed: go-containerregistry tries plain HTTP in all private networks.
type limitedTransport struct {
	strict, lax *http.Transport
	insecure    []string
}

func newLimitedTransport(base *http.Transport, insecure []string) *limitedTransport {
	if base == nil {
		base, _ = remote.DefaultTransport.(*http.Transport)
	}
	if base == nil {
		base = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	g := &limitedTransport{base.Clone(), base.Clone(), insecure}
	for _, transport := range []*http.Transport{g.strict, g.lax} {
		if transport.ResponseHeaderTimeout == 0 {
			transport.ResponseHeaderTimeout = time.Minute // a registry that is silent for longer is worth less than rebuilding a layer
		}
	}
	if g.lax.TLSClientConfig == nil {
		g.lax.TLSClientConfig = &tls.Config{}
	}
	g.lax.TLSClientConfig.InsecureSkipVerify = true
	return g
}

// RoundTrip implements [http.RoundTripper].
func (g *limitedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !g.allowsPlain(req.URL.Host) {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, fmt.Errorf("plain HTTP to %s is not allowed", req.URL.Host)
	}
	transport := g.strict
	if g.isInsecure(req.URL.Host) {
		transport = g.lax
	}
	resp, err := transport.RoundTrip(req)
	if err == nil && (strings.Contains(req.URL.Path, "/manifests/") || strings.HasSuffix(req.URL.Path, "/tags/list")) {
		resp.Body = boundedBody{bounded.Reader(req.Context(), resp.Body, maxManifest), resp.Body}
	}
	return resp, err
}

// maxManifest is in bytes. Our own manifests have a thousand; a list of tags has 70 for each entry.
const maxManifest = 8 << 20

type boundedBody struct {
	io.Reader
	io.Closer
}

func (g *limitedTransport) allowsPlain(host string) bool {
	ip := net.ParseIP(hostname(host))
	return strings.EqualFold(hostname(host), "localhost") || ip != nil && ip.IsLoopback() || g.isInsecure(host)
}

func (g *limitedTransport) isInsecure(host string) bool {
	for _, listed := range g.insecure {
		if strings.EqualFold(listed, host) || strings.EqualFold(listed, hostname(host)) {
			return true
		}
	}
	return false
}

func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}
