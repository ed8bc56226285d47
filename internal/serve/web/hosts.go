package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Hosts are the names that requests may be for. A page in a browser reaches servers of the browser's own network under a name of the
// page's choice, by changing what the name resolves to; such a request has that name in its Host header.
type Hosts struct {
	names []string
	any   bool
}

// NewHosts allows these names, in lower case without port, besides localhost, loopback addresses, and the address that a connection
// was made to: no web page can choose these. With any, all are allowed while there are no names.
func NewHosts(names []string, any bool) *Hosts {
	return &Hosts{names: names, any: any && len(names) == 0}
}

// guard answers 421 to requests for other hosts. X-Forwarded-Host says nothing here: who sends a request chooses it.
func (h *Hosts) guard(next http.Handler) http.Handler {
	if h == nil || h.any {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.allow(r) {
			refuse(w, http.StatusMisdirectedRequest, "DENIED",
				fmt.Sprintf("this server is not called %.100q; if it is, its operator must start it with --host", r.Host))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *Hosts) allow(r *http.Request) bool {
	if r.Host == "" { // no browser leaves it out, and probes of HTTP/1.0 do
		return isHealth(r.URL.Path)
	}
	name, ip, ok := hostName(r.Host)
	switch {
	case !ok:
		return false
	case slices.Contains(h.names, name):
		return true
	case !ip.IsValid():
		return name == "localhost"
	}
	return ip.IsLoopback() || ip == localAddress(r)
}

// localAddress is the address of this machine that the connection was made to, or the zero value.
func localAddress(r *http.Request) netip.Addr {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.Addr{}
	}
	at, _ := netip.ParseAddrPort(addr.String())
	return at.Addr().Unmap().WithZone("")
}

// hostName takes the port, a trailing dot and the zone of an address off a Host header, and returns it in lower case. It is false for
// what is no host.
func hostName(host string) (name string, ip netip.Addr, ok bool) {
	name, port, hasPort := host, "", false
	if inner, bracket := strings.CutPrefix(host, "["); bracket {
		if name, port, ok = strings.Cut(inner, "]"); !ok {
			return "", ip, false
		}
		if port, hasPort = strings.CutPrefix(port, ":"); !hasPort && port != "" {
			return "", ip, false
		}
		if ip, err := netip.ParseAddr(name); err != nil || !ip.Is6() {
			return "", ip, false
		}
	} else {
		name, port, _ = strings.Cut(host, ":")
		name = strings.TrimSuffix(name, ".")
	}
	if strings.Trim(port, "0123456789") != "" || name == "" {
		return "", ip, false
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		ip = ip.Unmap().WithZone("")
		return ip.String(), ip, true
	}
	return strings.ToLower(name), ip, true
}
