package nixbuild

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// passed are the variables that Nix and git get. An expression reads Nix's whole environment by builtins.getEnv, and a builder without
// a sandbox may read it in /proc, so what is not listed here is withheld. docs/nix.md has the same list, and a test compares them.
var passed = regexp.MustCompile(`^(` + strings.Join([]string{
	// Who, where, and in which language.
	"HOME|USER|LOGNAME|PATH|PWD|SHELL|TERM|TMPDIR|TEMP|TMP|TEMPDIR|TZ|TZDIR|LANG|LANGUAGE|LC_[A-Z]+|LOCALE_ARCHIVE",
	"XDG_(CONFIG|CACHE|DATA|STATE)_HOME|XDG_(CONFIG|DATA)_DIRS|XDG_RUNTIME_DIR",
	// Nix's own, of its manual: https://nix.dev/manual/nix/latest/command-ref/env-common. NIX_CONFIG has a rule of its own.
	"NIX_(PATH|REMOTE|SSHOPTS|USER_CONF_FILES|CONFIG|SSL_CERT_FILE|IGNORE_SYMLINK_STORE|DAEMON_SOCKET_PATH|OTHER_STORES|BUILD_HOOK)",
	"NIX_(STORE|STORE_DIR|DATA_DIR|LOG_DIR|STATE_DIR|LOCALSTATE_DIR|CONF_DIR|BIN_DIR|LIBEXEC_DIR|CACHE_HOME|CONFIG_HOME|DATA_HOME|STATE_HOME|PROFILES)",
	"NIX_(SHOW_STATS|SHOW_STATS_PATH|COUNT_CALLS)|GC_INITIAL_HEAP_SIZE|NIXPKGS_CONFIG|NIXPKGS_ALLOW_[A-Z_]+",
	// Certificates and proxies.
	"SSL_CERT_FILE|SSL_CERT_DIR|CURL_CA_BUNDLE|(?i:(http|https|ftp|all|no)_proxy)",
	// git and ssh: programs and files, not values.
	"SSH_AUTH_SOCK|SSH_ASKPASS|GIT_(SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS|TERMINAL_PROMPT|EXEC_PATH|PROXY_COMMAND|ALLOW_PROTOCOL|PROTOCOL_FROM_USER)",
	"GIT_CONFIG_(GLOBAL|SYSTEM|NOSYSTEM)|GIT_SSL_(CAINFO|CAPATH|NO_VERIFY)|GIT_(CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM)",
}, "|") + `)$`)

// Passed reports whether Nix and git get a variable of this name without being asked to.
func Passed(name string) bool { return passed.MatchString(name) }

// Withheld returns the names of the variables of an environment, KEY=VALUE each, that are meant for git, and that it does not get: settings
// by GIT_CONFIG_COUNT, which are often logins.
func Withheld(environ, further []string) []string {
	var names []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "GIT_CONFIG_") && !Passed(name) && !slices.Contains(further, name) {
			names = append(names, name)
		}
	}
	return names
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ParseVariables reads a list of names of variables, with blanks or commas between them.
func ParseVariables(list string) ([]string, error) {
	names := strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
	var errs []error
	for _, name := range names {
		if !variableName.MatchString(name) {
			// It may be a value, and secret.
			errs = append(errs, errors.New("want names of variables, such as AWS_PROFILE, found something else"))
		}
	}
	return names, errors.Join(errs...)
}

// environment returns what a program gets of all: what is passed, what further names, and added, whose values override. Settings
// that hold secrets are taken out of NIX_CONFIG, and returned.
func environment(all, further, added []string) (env []string, secret string) {
	values := map[string]string{}
	for _, pair := range all {
		if name, value, ok := strings.Cut(pair, "="); ok && (Passed(name) || slices.Contains(further, name)) {
			values[name] = value
		}
	}
	for _, pair := range added {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	if config, ok := values["NIX_CONFIG"]; ok && !slices.Contains(further, "NIX_CONFIG") {
		values["NIX_CONFIG"], secret = splitConfig(config)
	}
	if secret != "" {
		values["NIX_USER_CONF_FILES"] = tokensFile + ":" + userConfig(values)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, name+"="+values[name])
	}
	return env, secret
}

// userinfo matches a URL with a name or password before the host.
var userinfo = regexp.MustCompile(`://[^/\s]*@`)

// splitConfig takes the settings that may hold a secret out of Nix's settings: access-tokens, and those with a login in a URL.
// All lines of such a setting go, so that later ones still override or extend earlier ones.
func splitConfig(config string) (open, secret string) {
	base := func(line string) string {
		name, _, _ := strings.Cut(line, "=")
		return strings.TrimPrefix(strings.TrimSpace(name), "extra-")
	}
	secrets := map[string]bool{"access-tokens": true}
	for line := range strings.Lines(config) {
		if userinfo.MatchString(line) {
			secrets[base(line)] = true
		}
	}
	var opens, hidden strings.Builder
	for line := range strings.Lines(config) {
		if secrets[base(line)] {
			hidden.WriteString(strings.TrimSuffix(line, "\n") + "\n")
		} else {
			opens.WriteString(line)
		}
	}
	return opens.String(), hidden.String()
}

// userConfig returns the files of settings that Nix would read: a list of files replaces its own.
func userConfig(values map[string]string) string {
	if files, ok := values["NIX_USER_CONF_FILES"]; ok {
		return files
	}
	home := values["XDG_CONFIG_HOME"]
	if home == "" {
		home = filepath.Join(values["HOME"], ".config")
	}
	files := []string{filepath.Join(home, "nix/nix.conf")}
	if own := values["NIX_CONFIG_HOME"]; own != "" {
		files[0] = filepath.Join(own, "nix.conf")
	}
	dirs := values["XDG_CONFIG_DIRS"]
	if dirs == "" {
		dirs = "/etc/xdg"
	}
	for dir := range strings.SplitSeq(dirs, ":") {
		if dir != "" {
			files = append(files, filepath.Join(dir, "nix/nix.conf"))
		}
	}
	return strings.Join(files, ":")
}

// secretPipe returns the end that a program reads text from. The caller closes it when the program has it.
func secretPipe(text string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("handing Nix its secret settings: %w", err)
	}
	go func() {
		// A program that does not read it loses nothing: it ends, and so does the pipe.
		_, _ = w.WriteString(text)
		_ = w.Close()
	}()
	return r, nil
}
