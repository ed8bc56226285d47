package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// loopback is where a server listens unless the settings say otherwise: only programs on the same machine reach it.
const loopback = "127.0.0.1"

// exposure decides on the address. One that other machines reach needs either passwords or --public: a server that builds for
// strangers by mistake is worse than one that cannot be reached.
func (d *draft) exposure() {
	at, given := d.given("address")
	if !given {
		if !d.Public {
			d.Address = loopback
		}
		return
	}
	unread := d.Address == "" && at.Texts[0] != "" // reported already
	if len(at.Texts) != 1 || unread || d.Public || d.Htpasswd != "" || isLoopback(d.Address) {
		return
	}
	d.check(at.Place, fmt.Errorf("%s can be reached from other machines, and no password protects it: add --htpasswd FILE, "+
		"or --public to build for all who reach it", described(d.Address)))
}

func described(address string) string {
	if address == "" {
		return "every address of this machine"
	}
	return fmt.Sprintf("%.100q", address)
}

// LoopbackOnly reports whether only this machine reaches the server, so that all its clients are one.
func (s Settings) LoopbackOnly() bool { return !s.Public && isLoopback(s.Address) }

func isLoopback(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.Unmap().IsLoopback()
}

// address reads a name or IP address without a port. localhost is the IPv4 address: what the machine's resolver makes of the name
// decides nothing about exposure.
func address(d *draft, text string) error {
	text = unbracketed(text)
	if strings.EqualFold(strings.TrimSuffix(text, "."), "localhost") {
		text = loopback
	}
	if _, err := netip.ParseAddr(text); err != nil && text != "" && !hostForm.MatchString(text) {
		return fmt.Errorf("want a host name or IP address without a port, found %.100q", text)
	}
	d.Address = text
	return nil
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}[A-Za-z0-9_])?)*$`)

// host reads a name by which clients call the server, as their Host header has it, without the port.
func host(d *draft, text string) error {
	name := strings.ToLower(strings.TrimSuffix(unbracketed(text), "."))
	if ip, err := netip.ParseAddr(name); err == nil {
		name = ip.Unmap().WithZone("").String()
	} else if len(name) > 253 || !hostForm.MatchString(name) {
		return fmt.Errorf("want a host name or IP address, without scheme and port, found %.100q", text)
	}
	d.Hosts = append(d.Hosts, name)
	return nil
}

func unbracketed(text string) string {
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		return strings.TrimSuffix(inner, "]")
	}
	return text
}

// proxy reads the address, or the network, of proxies whose X-Forwarded-For is believed.
func proxy(d *draft, text string) error {
	prefix, err := netip.ParsePrefix(text)
	if ip, ipErr := netip.ParseAddr(text); ipErr == nil {
		ip = ip.Unmap().WithZone("")
		prefix, err = netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	if err != nil {
		return fmt.Errorf("want an IP address or network, as 10.0.0.0/8, found %.100q", text)
	}
	if prefix.Bits() == 0 {
		return errors.New("all addresses cannot be proxies: any client could name another's address")
	}
	d.Proxies = append(d.Proxies, prefix.Masked())
	return nil
}
