package web

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/org/nixery-action/internal/serve"
)

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
