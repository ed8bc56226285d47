package spec

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

func (d *decoder) config(n *yaml.Node) Config {
	var c Config
	d.mapping(n, "config", d.configFields(&c))
	return c
}

func (d *decoder) configFields(c *Config) fields {
	return fields{
		"entrypoint": func(n *yaml.Node) {
			c.Entrypoint, c.EntrypointPos = d.texts(n, "entrypoint"), Position{n.Line, n.Column}
		},
		"cmd":         func(n *yaml.Node) { c.Cmd, c.CmdPos = d.texts(n, "cmd"), Position{n.Line, n.Column} },
		"env":         func(n *yaml.Node) { c.Env = d.environment(n) },
		"working-dir": func(n *yaml.Node) { c.WorkingDir, _ = d.word(n, "working-dir", absolute) },
		"user": func(n *yaml.Node) {
			c.User, _ = d.numberOrWord(n, "user", user)
			c.UserPos = Position{n.Line, n.Column}
		},
		"exposed-ports": func(n *yaml.Node) { c.ExposedPorts, _ = d.set(n, "exposed-ports", d.port) },
		"volumes":       func(n *yaml.Node) { c.Volumes, _ = d.set(n, "volumes", d.volume) },
		"labels":        func(n *yaml.Node) { c.Labels = d.labels(n) },
		"stop-signal":   func(n *yaml.Node) { c.StopSignal, _ = d.numberOrWord(n, "stop-signal", signal) },
	}
}

// environment reads variables for the container. Nothing expands in them: what
// a shell would make of a $ is the container's business.
func (d *decoder) environment(n *yaml.Node) map[string]string {
	env := map[string]string{}
	for _, e := range d.entries(n, "env") {
		named := d.passes(e.key, "variable", e.key.Value, variableName)
		value, ok := d.text(e.value, "env "+quote(e.key.Value))
		if named && ok {
			env[e.key.Value] = value
		}
	}
	return env
}

func (d *decoder) labels(n *yaml.Node) map[string]string {
	labels := map[string]string{}
	for _, e := range d.entries(n, "labels") {
		named := d.passes(e.key, "label", e.key.Value, labelName)
		what := "label " + quote(e.key.Value)
		value, ok := d.text(e.value, what)
		if !named || !ok {
			continue
		}
		if expanded, ok := d.expand(e.value, what, value); ok {
			labels[e.key.Value] = expanded
		}
	}
	return labels
}

// port reads a port. Without a protocol TCP is meant, and said, so that 80 and
// 80/tcp are one.
func (d *decoder) port(n *yaml.Node) (string, bool) {
	s, ok := d.numberOrWord(n, "port", port)
	if ok && !strings.Contains(s, "/") {
		s += "/tcp"
	}
	return s, ok
}

func (d *decoder) volume(n *yaml.Node) (string, bool) {
	return d.word(n, "volume", func(s string) error {
		if s == "/" {
			return errors.New("want a directory below the root")
		}
		return absolute(s)
	})
}

var (
	variableNames = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	labelNames    = regexp.MustCompile(`^[!-~]+$`)
	ports         = regexp.MustCompile(`^([1-9][0-9]{0,4})(/(tcp|udp|sctp))?$`)
	users         = regexp.MustCompile(`^` + account + `(:` + account + `)?$`)
	realtime      = regexp.MustCompile(`^SIGRT(MIN([+]([1-9]|1[0-5]))?|MAX(-([1-9]|1[0-4]))?)$`)
)

// account is a name, as useradd allows them, or a number below 2^31 or so:
// a number is not looked up, so it cannot be wrong in the image.
const account = `(0|[1-9][0-9]{0,9}|[A-Za-z_][A-Za-z0-9_.-]{0,31})`

const (
	maxPort   = 65535
	maxSignal = 64
	maxID     = 1<<31 - 1 // runc keeps user and group in 32 bits with a sign
)

// signals are the names in signal(7) that Linux knows on amd64 and arm64.
var signals = strings.Fields(`
	SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM
	SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF
	SIGWINCH SIGIO SIGPWR SIGSYS`)

func variableName(s string) error {
	if !variableNames.MatchString(s) {
		return errors.New("want letters, digits and underscores, with no digit first")
	}
	return nil
}

func labelName(s string) error {
	if !labelNames.MatchString(s) {
		return errors.New("want a name without spaces, such as org.opencontainers.image.source")
	}
	return nil
}

func absolute(s string) error {
	switch {
	case !path.IsAbs(s):
		return errors.New("want an absolute path, such as /data")
	case path.Clean(s) != s:
		return fmt.Errorf("want the path's plain form, %s", clip(path.Clean(s)))
	}
	return nil
}

func port(s string) error {
	m := ports.FindStringSubmatch(s)
	if m == nil {
		return errors.New("want a port and perhaps a protocol, such as 8080, 8080/tcp or 53/udp")
	}
	if number, _ := strconv.Atoi(m[1]); number > maxPort {
		return fmt.Errorf("the highest port is %d", maxPort)
	}
	return nil
}

func user(s string) error {
	if !users.MatchString(s) {
		return errors.New("want a name or number, and perhaps a group, such as 1000, 1000:1000 or app:app")
	}
	for id := range strings.SplitSeq(s, ":") {
		if number, err := strconv.ParseInt(id, 10, 64); err == nil && number > maxID {
			return fmt.Errorf("the highest number of a user or group is %d", maxID)
		}
	}
	return nil
}

func signal(s string) error {
	if number, err := strconv.Atoi(s); err == nil && 1 <= number && number <= maxSignal && strconv.Itoa(number) == s {
		return nil
	}
	if slices.Contains(signals, s) || realtime.MatchString(s) {
		return nil
	}
	if full := "SIG" + strings.TrimPrefix(strings.ToUpper(s), "SIG"); slices.Contains(signals, full) {
		return fmt.Errorf("did you mean %s?", full)
	}
	return errors.New("want a signal, such as SIGTERM, or its number")
}
