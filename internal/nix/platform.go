package nix

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// platforms is the one table of architectures: who adds a row here, and its hash
// to nixinstall for an installer of Nix, has images for it. The first row is the default, as
// one spec has one digest on every machine. The variant of arm64 is written out,
// as docker's own images have it.
var platforms = []struct {
	system   string // as Nix names it
	platform v1.Platform
	also     []string // what the architecture is called elsewhere, in lower case
}{
	{"x86_64-linux", v1.Platform{OS: "linux", Architecture: "amd64"},
		[]string{"x86_64", "x86-64", "x64", "linux/amd64"}},
	{"aarch64-linux", v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"},
		[]string{"aarch64", "linux/arm64", "linux/arm64/v8", "arm64/v8", "arm64v8"}},
}

// ParsePlatform reads a platform as docker writes it: linux/amd64,
// linux/arm64 or linux/arm64/v8; a bare architecture is one of Linux.
func ParsePlatform(s string) (v1.Platform, error) {
	var names []string
	for _, p := range platforms {
		full := p.platform.String()
		short := p.platform.OS + "/" + p.platform.Architecture
		if s == full || s == short || s == p.platform.Architecture {
			return p.platform, nil
		}
		names = append(names, short)
	}
	return v1.Platform{}, fmt.Errorf("platform %q is not one of %s", s, strings.Join(names, ", "))
}

// System returns what Nix calls a platform that [ParsePlatform] gave.
func System(platform v1.Platform) string {
	for _, p := range platforms {
		if p.platform.Equals(platform) {
			return p.system
		}
	}
	return platform.Architecture + "-" + platform.OS
}

// SystemOf returns what Nix calls a machine with these runtime.GOOS and
// runtime.GOARCH, if images are built for it.
func SystemOf(goos, goarch string) (system string, ok bool) {
	for _, p := range platforms {
		if p.platform.OS == goos && p.platform.Architecture == goarch {
			return p.system, true
		}
	}
	return "", false
}

// Architectures returns the OCI names of the architectures that images are built for, the default
// first.
func Architectures() []string {
	names := make([]string, len(platforms))
	for i, p := range platforms {
		names[i] = p.platform.Architecture
	}
	return names
}

// Spelled returns the architecture that has another name elsewhere: aarch64 or
// linux/arm64 ▶ arm64. Case does not count.
func Spelled(word string) (architecture string, ok bool) {
	word = strings.ToLower(word)
	for _, p := range platforms {
		if word == p.system || slices.Contains(p.also, word) {
			return p.platform.Architecture, true
		}
	}
	return "", false
}
