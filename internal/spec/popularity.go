package spec

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/internal/suggest"
)

// tables are the words that stand for a popularity table; all else is a file or
// a URL.
var tables = []string{"embedded", "none"}

// popularity reads where the table is. Files come back as absolute paths, so the
// three kinds cannot be mistaken for each other.
func (d *decoder) popularity(n *yaml.Node) string {
	where, ok := d.text(n, "popularity")
	if ok && hasPassword(where) {
		d.errorf(n, "popularity: a password does not belong in a spec; fetch the table in a step before this one, and give its file")
		return ""
	}
	if !ok || !d.passes(n, "popularity", where, tablePlace) {
		return ""
	}
	if strings.Contains(where, "://") || oneOf(tables...)(where) == nil {
		return where
	}
	return d.beside(n, where)
}

// tablePlace refuses plain http, because then anyone on the way could choose the
// plan, and with it the digests.
func tablePlace(s string) error {
	if s == "" {
		return errors.New("want embedded, none, a file or an https URL")
	}
	if near := suggest.Nearest(s, tables, 1); len(near) > 0 && near[0] != s && !strings.ContainsAny(s, "./") {
		return fmt.Errorf("did you mean %s? A file of this name is ./%s", quote(near[0]), s)
	}
	if !strings.Contains(s, "://") {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return errors.New("want an https URL; http will do for this machine only")
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

var sha256s = regexp.MustCompile(`^[0-9a-f]{64}$`)

func sha256Hex(s string) error {
	if !sha256s.MatchString(s) {
		return errors.New("want 64 hexadecimal digits in lower case, as sha256sum prints them")
	}
	return nil
}
