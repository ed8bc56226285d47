package web

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/org/nixery-action/internal/serve"
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

// guard answers 421 to requests for other hosts. X-Forwarded-Host is ignored: the sender chooses it.
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

// noWebPages keeps web pages from pulling: any page that a user of this network looks at could have images built here, without that
// user's knowledge. Clients of registries are no browsers. The page at / pulls nothing.
func noWebPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fromWebPage(r) {
			refuse(w, http.StatusForbidden, "DENIED", "web pages cannot pull from this registry; use a client for containers, as docker pull")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// fromWebPage reports whether a browser sent the request on behalf of a page of another origin. Over plain HTTP browsers say so for
// loopback only, see https://www.w3.org/TR/fetch-metadata/: elsewhere every request of a browser counts as one.
func fromWebPage(r *http.Request) bool {
	sites := r.Header.Values("Sec-Fetch-Site")
	for _, site := range sites {
		if site = strings.ToLower(strings.TrimSpace(site)); site != "none" && site != "same-origin" {
			return true
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || withoutPort(u.Host) != withoutPort(r.Host) {
			return true
		}
	}
	return len(sites) == 0 && strings.HasPrefix(r.UserAgent(), "Mozilla/")
}

// withoutPort drops the ports that go without saying, so that origins behind a proxy with TLS compare.
func withoutPort(host string) string {
	host = strings.ToLower(host)
	for _, port := range []string{":80", ":443"} {
		if rest, ok := strings.CutSuffix(host, port); ok {
			return rest
		}
	}
	return host
}

// Clients names the client of a request by its address. A nil *Clients names none, but knows addresses.
type Clients struct {
	proxies []netip.Prefix
	log     *slog.Logger
	once    sync.Once // a proxy that is not known is reported once
}

// NewClients believes X-Forwarded-For of requests from these networks, and of no others: whoever sends a request may write it.
func NewClients(proxies []netip.Prefix, log *slog.Logger) *Clients {
	return &Clients{proxies: proxies, log: log}
}

// maxForwarded bounds how many proxies are looked through.
const maxForwarded = 16

// address is where a request comes from: the sender, or behind known proxies the last address that is not one of theirs. It is the
// zero value if the sender has none.
func (c *Clients) address(r *http.Request) netip.Addr {
	sender, err := netip.ParseAddrPort(r.RemoteAddr)
	at := sender.Addr().Unmap().WithZone("")
	forwarded := r.Header.Values("X-Forwarded-For")
	if err != nil || c == nil || len(forwarded) == 0 {
		return at
	}
	if !c.isProxy(at) {
		c.once.Do(func() {
			c.log.Warn("a request came through a proxy that is not known, so all behind it count as one client; name it with --proxy", "address", at.String())
		})
		return at
	}
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for _, hop := range slices.Backward(hops[max(0, len(hops)-maxForwarded):]) {
		next, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			break
		}
		if at = next; !c.isProxy(at) {
			break
		}
	}
	return at
}

// parseHop reads an address with or without a port.
func parseHop(hop string) (netip.Addr, bool) {
	at, err := netip.ParseAddr(strings.Trim(hop, "[]"))
	if err != nil {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(hop)
		at = withPort.Addr()
	}
	return at.Unmap().WithZone(""), err == nil
}

func (c *Clients) isProxy(at netip.Addr) bool {
	return slices.ContainsFunc(c.proxies, func(p netip.Prefix) bool { return p.Contains(at) })
}

// networkOf returns what shares are given to: an IPv4 address, or the /64 that one customer has at least of IPv6.
func networkOf(at netip.Addr) string {
	if at.Is6() {
		prefix, _ := at.Prefix(64) // no IPv6 address is too short
		return prefix.String()
	}
	return at.String()
}

// name tells the registry whose request it is. A user's name, once the password was right, comes before the address.
func (c *Clients) name(next http.Handler) http.Handler {
	if c == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, as(r, "address "+networkOf(c.address(r))))
	})
}

func as(r *http.Request, client string) *http.Request {
	return r.WithContext(serve.WithClient(r.Context(), serve.Client(client)))
}
