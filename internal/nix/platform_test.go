package nix

import (
	"slices"
	"testing"
)

func TestPlatforms(t *testing.T) {
	for text, system := range map[string]string{
		"linux/amd64": "x86_64-linux", "amd64": "x86_64-linux", "linux/arm64": "aarch64-linux", "linux/arm64/v8": "aarch64-linux",
		"arm64": "aarch64-linux", "linux/arm/v7": "", "windows/amd64": "", "": "", "armv7": "", "linux/amd64/v2": "",
	} {
		platform, err := ParsePlatform(text)
		if (err == nil) != (system != "") {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && System(platform) != system {
			t.Errorf("%q is %s, want %s", text, System(platform), system)
		}
	}
	if got := Architectures(); !slices.Equal(got, []string{"amd64", "arm64"}) {
		t.Errorf("architectures %q", got)
	}
}

func TestSystemOf(t *testing.T) {
	if system, ok := SystemOf("linux", "arm64"); !ok || system != "aarch64-linux" {
		t.Errorf("got %q", system)
	}
	for _, other := range [][2]string{{"darwin", "arm64"}, {"linux", "riscv64"}} {
		if _, ok := SystemOf(other[0], other[1]); ok {
			t.Errorf("%q has a system", other)
		}
	}
}

func TestSpelled(t *testing.T) {
	for word, want := range map[string]string{"AArch64": "arm64", "x86_64-linux": "amd64", "linux/arm64/v8": "arm64", "armv7": "", "arm64": ""} {
		if got, _ := Spelled(word); got != want {
			t.Errorf("%q is spelled %q, want %q", word, got, want)
		}
	}
}
