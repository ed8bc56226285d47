package spec

import (
	"errors"
	"math"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

const defaultChannel = "nixos-unstable"

// nixpkgs reads where packages come from.
func (d *decoder) nixpkgs(n *yaml.Node) Nixpkgs {
	var from Nixpkgs
	if hint := sourceHint(n); hint != "" {
		d.wrong(n, "nixpkgs", "a mapping of keys to values", hint)
		return Nixpkgs{Channel: defaultChannel}
	}
	given := d.mapping(n, "nixpkgs", d.nixpkgsFields(&from))
	var first *yaml.Node
	for _, source := range []string{"channel", "git", "path", "flake"} {
		e, ok := given[source]
		switch {
		case ok && first == nil:
			first = e.key
		case ok:
			d.errorf(e.key, "nixpkgs: want one of channel, git, path and flake, found %s beside %s", clip(e.key.Value), clip(first.Value))
		}
	}
	if first != nil {
		from.Pos = Position{first.Line, first.Column}
	} else {
		from.Channel = defaultChannel
	}
	if _, isFlake := given["flake"]; isFlake {
		d.notForFlakes(given)
	}
	if e, ok := given["include-ignored"]; ok && given["path"].key == nil && given["overlays"].key == nil {
		d.errorf(e.key, "nixpkgs: include-ignored is about the files beside a path or overlays, and here is neither; leave it out")
	}
	return from
}

// sourceHint is how to write a source of which only the name was given, as inputs and flags have it.
func sourceHint(n *yaml.Node) string {
	switch {
	case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str":
		return ""
	case channels.MatchString(n.Value):
		return "; write {channel: " + quote(n.Value) + "}"
	case strings.HasPrefix(n.Value, ".") || strings.HasPrefix(n.Value, "/"):
		return "; write {path: " + quote(n.Value) + "}"
	}
	return ""
}

func (d *decoder) nixpkgsFields(from *Nixpkgs) fields {
	return fields{
		"channel":  func(n *yaml.Node) { from.Channel, _ = d.word(n, "channel", channel) },
		"git":      func(n *yaml.Node) { from.Git = d.git(n) },
		"path":     func(n *yaml.Node) { from.Path = d.path(n, "path") },
		"flake":    func(n *yaml.Node) { from.Flake = d.flake(n) },
		"config":   func(n *yaml.Node) { from.Config = d.object(n, "nixpkgs.config") },
		"overlays": func(n *yaml.Node) { from.Overlays = d.overlays(n) },

		"include-ignored": func(n *yaml.Node) { from.IncludeIgnored = d.truth(n, "include-ignored") },
	}
}

func (d *decoder) notForFlakes(given map[string]entry) {
	for _, key := range []string{"config", "overlays"} {
		if e, ok := given[key]; ok {
			d.errorf(e.key, "nixpkgs: a flake's packages are made already, so %s would do nothing; put it into the flake", key)
		}
	}
}

func (d *decoder) git(n *yaml.Node) *Git {
	var from Git
	given := d.mapping(n, "git", d.gitFields(&from))
	if _, ok := given["url"]; !ok && n.Kind == yaml.MappingNode {
		d.errorf(n, "git: want a url to fetch from")
	}
	return &from
}

func (d *decoder) gitFields(from *Git) fields {
	return fields{
		"url": func(n *yaml.Node) { from.URL = d.location(n, "url", gitURL) },
		"ref": func(n *yaml.Node) { from.Ref, _ = d.word(n, "ref", gitRef) },
		"rev": func(n *yaml.Node) { from.Rev, _ = d.word(n, "rev", gitRev) },
	}
}

// location reads a string that may hold a password by mistake: then no error
// repeats it, since logs are read by many.
func (d *decoder) location(n *yaml.Node, what string, ok check) string {
	s, isText := d.text(n, what)
	if !isText {
		return ""
	}
	if hasPassword(s) {
		d.errorf(n, "%s: a password does not belong in a spec; leave it to git's credential helper or to Nix's access-tokens", what)
		return ""
	}
	d.passes(n, what, s, ok)
	return s
}

func (d *decoder) flake(n *yaml.Node) string {
	ref := d.location(n, "flake", flakeRef)
	file, isPath := strings.CutPrefix(ref, "path:")
	file, query, hasQuery := strings.Cut(file, "?")
	if first, _, _ := strings.Cut(file, "/"); first != "." && first != ".." {
		return ref
	}
	if !isPath {
		ref = d.beside(n, file)
	} else {
		ref = "path:" + d.besideInURL(n, file)
	}
	if hasQuery {
		ref += "?" + query
	}
	return ref
}

// besideInURL is beside for a path that is part of a URL: the spec's own directory
// is no part of what the user wrote, so that it must be escaped.
func (d *decoder) besideInURL(n *yaml.Node, file string) string {
	directory := &url.URL{Path: d.beside(n, ".")}
	return path.Join(directory.EscapedPath(), file)
}

func (d *decoder) overlays(n *yaml.Node) []string {
	files, _ := d.set(n, "overlays", func(n *yaml.Node) (string, bool) {
		file := d.path(n, "overlay")
		return file, file != ""
	})
	return files
}

func (d *decoder) path(n *yaml.Node, what string) string {
	file, ok := d.word(n, what, func(s string) error {
		if s == "" {
			return errors.New("want a path, relative to the spec")
		}
		return nil
	})
	if !ok {
		return ""
	}
	return d.beside(n, file)
}

// beside makes a path in the spec absolute, so that it does not matter which
// directory the program runs in.
func (d *decoder) beside(n *yaml.Node, file string) string {
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	absolute, err := filepath.Abs(filepath.Join(filepath.Dir(d.file), file))
	if err != nil {
		d.errorf(n, "making %s absolute: %v", quote(file), err)
	}
	return absolute
}

// object reads a mapping that is handed on to Nix, so it holds what both YAML
// and Nix have: strings, numbers, booleans, nothing, lists and mappings.
func (d *decoder) object(n *yaml.Node, what string) map[string]any {
	object := map[string]any{}
	for _, e := range d.entries(n, what) {
		object[e.key.Value] = d.value(e.value, what+"."+clip(e.key.Value))
	}
	return object
}

func (d *decoder) value(n *yaml.Node, what string) any {
	switch n.Kind {
	case yaml.MappingNode:
		return d.object(n, what)
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, d.value(item, what))
		}
		return list
	case yaml.ScalarNode:
		return d.scalar(n, what)
	default:
		d.wrong(n, what, "a value", "")
		return nil
	}
}

func (d *decoder) scalar(n *yaml.Node, what string) any {
	switch n.ShortTag() {
	case "!!str":
		s, _ := d.text(n, what)
		return s
	case "!!null":
		return nil
	case "!!bool", "!!int", "!!float":
		var value any
		if err := n.Decode(&value); err == nil && fitsNix(value) {
			return value
		}
	}
	d.wrong(n, what, "a string, a number, true, false or null, as Nix has them", quoteHint(n))
	return nil
}

// fitsNix reports whether Nix can hold a number: its integers have 64 bits with
// a sign, and its JSON knows no infinity.
func fitsNix(value any) bool {
	switch v := value.(type) {
	case uint64:
		return v <= math.MaxInt64
	case float64:
		return !math.IsInf(v, 0) && !math.IsNaN(v)
	}
	return true
}

var (
	channels = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)
	gitRefs  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+@/-]*$`)
	gitRevs  = regexp.MustCompile(`^[0-9a-f]{40}$`)
	// scp is git's short form of an SSH URL, user@host:path.
	scp    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[A-Za-z0-9_./~][!-~]*$`)
	flakes = regexp.MustCompile(`^[A-Za-z0-9./_][!-~]*$`)
	// secret finds a password in a URL, whether or not it parses. Over HTTP the
	// user alone is one as well: that is how tokens are given.
	secret = regexp.MustCompile(`://[^/@]*:[^/@]*@|https?://[^/@]*@`)
)

func hasPassword(s string) bool { return secret.MatchString(s) }

func channel(s string) error {
	if !channels.MatchString(s) {
		return errors.New("want a channel, such as nixos-25.11, or a commit of nixpkgs in 40 hexadecimal digits")
	}
	return nil
}

func gitRef(s string) error {
	if !gitRefs.MatchString(s) || strings.Contains(s, "..") {
		return errors.New("want a branch or tag")
	}
	return nil
}

func gitRev(s string) error {
	if !gitRevs.MatchString(s) {
		return errors.New("want a commit in 40 hexadecimal digits, in lower case; a branch or tag goes under the key ref")
	}
	return nil
}

// gitURL refuses what git would take for an option or for a program to run
// (git's "ext::" transport), besides what is not a URL.
func gitURL(s string) error {
	want := errors.New("want a URL with https, http, ssh or file, or user@host:path")
	if scp.MatchString(s) {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || strings.ContainsAny(s, " \t\r\n") || strings.Contains(s, "://-") || strings.HasPrefix(u.Host, "-") {
		return want
	}
	switch u.Scheme {
	case "https", "http", "ssh":
		if u.Host != "" {
			return nil
		}
	case "file":
		if strings.HasPrefix(u.Path, "/") {
			return nil
		}
	}
	return want
}

func flakeRef(s string) error {
	switch {
	case strings.Contains(s, "#"):
		return errors.New("want a flake, without #; what it offers goes under the key packages")
	case !flakes.MatchString(s):
		return errors.New("want a flake reference, such as github:owner/repo or ./directory")
	}
	return nil
}
