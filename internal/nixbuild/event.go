package nixbuild

import (
	"fmt"
	"github.com/org/nixery-action/internal/nix"
	"net/url"
)

// event is a line of Nix's journal.
type event struct {
	Action string
	ID     uint64
	Level  int
	Type   int
	Text   string
	Msg    string
	Fields []any // strings and float64s
}

// text is the first field of an event, a store path or a line.
func (e event) text() string {
	if len(e.Fields) == 0 {
		return ""
	}
	return fmt.Sprint(e.Fields[0])
}

// name is that of the store path in the first field.
func (e event) name() string {
	path, err := nix.ParseStorePath(e.text())
	if err != nil {
		return e.text()
	}
	return path.Name()
}

// host is that of the URL in the first field. The rest of it may hold a secret.
func (e event) host() string {
	if u, err := url.Parse(e.text()); err == nil && u.Host != "" {
		return u.Hostname()
	}
	return "somewhere"
}

// number is a field that counts. Nix has no negative ones.
func (e event) number(i int) int64 {
	if i >= len(e.Fields) {
		return 0
	}
	n, _ := e.Fields[i].(float64)
	return int64(max(n, 0))
}
