package nixinstall

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/org/nixery-action/internal/fetch"
	"github.com/org/nixery-action/internal/nix"
)

// Version is the Nix that is installed.
const Version = "2.35.2"

// hashes are the SHA-256 of the release's tarballs, by system, as
// https://releases.nixos.org/nix/nix-2.35.2/install has them.
var hashes = map[string]string{
	"x86_64-linux":  "0c3960a9792331a22081c3c7a5d8465db9b17c50b3acdf18587fa4c6f2cb1158",
	"aarch64-linux": "4d0302a2910f5eec1c33b8deef634f04899a75737e7001ec49908d003ae5efda",
}

// Archive is a tarball in the form of Nix's releases, and what it must hash to.
type Archive struct {
	URL    *url.URL // https, or http on loopback
	SHA256 string   // lower-case hex
}

// Pinned is the archive of [Version] for a machine, as runtime.GOOS and
// runtime.GOARCH name it.
func Pinned(goos, goarch string) (Archive, error) {
	system, _ := nix.SystemOf(goos, goarch)
	hash, ok := hashes[system]
	if !ok {
		return Archive{}, fmt.Errorf("this is %s/%s, and Nix is installed on Linux for amd64 and arm64 only", goos, goarch)
	}
	u := &url.URL{Scheme: "https", Host: "releases.nixos.org", Path: fmt.Sprintf("/nix/nix-%s/nix-%s-%s.tar.xz", Version, Version, system)}
	return Archive{URL: u, SHA256: hash}, nil
}

// At is the archive at another URL: a mirror of a, or, with a hash that is not
// empty, another Nix. The errors do not repeat the URL, which may hold a
// password.
func (a Archive) At(text, sha256 string) (Archive, error) {
	u, err := url.Parse(text)
	if err != nil || !fetch.IsSafe(u) {
		return Archive{}, errors.New("want an https URL of a tarball of Nix")
	}
	if sum, err := hex.DecodeString(sha256); sha256 != "" && (err != nil || len(sum) != 32) {
		return Archive{}, errors.New("want a SHA-256 of 64 hexadecimal digits")
	}
	a.URL = u
	if sha256 != "" {
		a.SHA256 = strings.ToLower(sha256)
	}
	return a, nil
}

// name is that of the file, as in nix-2.35.2-x86_64-linux.tar.xz.
func (a Archive) name() string { return path.Base(a.URL.Path) }

// title is what people are told is installed.
func (a Archive) title() string {
	title, _ := strings.CutSuffix(a.name(), ".tar.xz")
	return title
}

// where is the URL without what may be secret in it.
func (a Archive) where() string {
	return (&url.URL{Scheme: a.URL.Scheme, Host: a.URL.Host, Path: a.URL.Path}).String()
}
