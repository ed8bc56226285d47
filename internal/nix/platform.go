package nix

import (
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// platforms are the two that images are made for. The variant of arm64 is
// written out, as docker's own images have it.
var platforms = []struct {
	system   string
	platform v1.Platform
}{
	{"x86_64-linux", v1.Platform{OS: "linux", Architecture: "amd64"}},
	{"aarch64-linux", v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}},
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

// System is what Nix calls a platform that [ParsePlatform] gave.
func System(platform v1.Platform) string {
	for _, p := range platforms {
		if p.platform.Equals(platform) {
			return p.system
		}
	}
	return platform.Architecture + "-" + platform.OS
}
