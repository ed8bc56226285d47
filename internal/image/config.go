package image

import (
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Environment that every image has unless its spec says otherwise.
const (
	path     = "/bin:/sbin:/usr/bin"
	certFile = "/etc/ssl/certs/ca-bundle.crt" // where nixpkgs' cacert has it
)

// Defaults is the configuration of an image that asks for nothing: a shell to
// start if it has one, and where TLS roots are if it has them.
func Defaults(shell, roots bool) v1.Config {
	config := v1.Config{Env: []string{"PATH=" + path}}
	if roots {
		config.Env = append(config.Env, "SSL_CERT_FILE="+certFile)
	}
	if shell {
		config.Cmd = []string{"bash"}
	}
	return config
}

// SetEnv gives variables values: in place where they are set already, the
// others behind in order of name.
func SetEnv(config *v1.Config, env map[string]string) {
	config.Env = slices.Clone(config.Env)
	rest := maps.Clone(env)
	for i, old := range config.Env {
		name, _, _ := strings.Cut(old, "=")
		if value, ok := rest[name]; ok {
			config.Env[i] = name + "=" + value
			delete(rest, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		config.Env = append(config.Env, name+"="+rest[name])
	}
}
