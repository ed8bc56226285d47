package route

import (
	"regexp"
	"strings"
	"testing"
)

var digest = "sha256:" + strings.Repeat("0a", 32)

func TestParse(t *testing.T) {
	for path, want := range map[string]Route{
		"/v2/git/manifests/latest":      {Manifest, "git", "latest"},
		"/v2/shell/git/blobs/" + digest: {Blob, "shell/git", digest},
		"/v2/a/b/tags/list":             {Tags, "a/b", ""},
		"/v2/git/referrers/" + digest:   {Referrers, "git", digest},
		"/v2/blobs/manifests/manifests": {Manifest, "blobs", "manifests"},
		"/v2/manifests/tags/tags/list":  {Tags, "manifests/tags", ""},
		"/v2/../manifests/x":            {Manifest, "..", "x"}, // for ParseName to refuse
		"/v2//manifests/":               {Manifest, "", ""},
		"/v2/a/manifests/tags/list":     {Tags, "a/manifests", ""},
	} {
		if got, ok := Parse(path); !ok || got != want {
			t.Errorf("%s is %v, %v; want %v", path, got, ok, want)
		}
	}
	for _, path := range []string{"", "/", "/v2/", "/v2/git", "/v2/manifests/latest", "/v1/git/manifests/x", "/v2/git/tags/lists", "/v2/git/uploads/x", "v2/a/manifests/x"} {
		if got, ok := Parse(path); ok {
			t.Errorf("%s is %v", path, got)
		}
	}
}

func TestWellFormed(t *testing.T) {
	for path, want := range map[string]bool{
		"/v2/git/manifests/latest": true, "/v2/git/manifests/" + digest: true, "/v2/git/manifests/sha256:wrong": false,
		"/v2/git/manifests/:": false, "/v2/git/blobs/sha256:wrong": true, "/v2/git/tags/list": true, "/v2/": true,
	} {
		if to, _ := Parse(path); to.WellFormed() != want {
			t.Errorf("%s: got %v", path, !want)
		}
	}
}

func TestParseDigest(t *testing.T) {
	if got, err := ParseDigest(digest); err != nil || got.String() != digest {
		t.Errorf("got %v, %v", got, err)
	}
	for _, reference := range []string{
		"", "latest", "sha256:", "sha256:0", strings.ToUpper(digest), "sha512:" + strings.Repeat("0", 128), digest + "0", digest + "\n", "sha256:../../x", digest[7:],
	} {
		if got, err := ParseDigest(reference); err == nil {
			t.Errorf("%q is %v", reference, got)
		}
	}
}

// FuzzParse: whatever a path is, what is read of it is in the grammar, or nothing.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"git/manifests/latest", "../x/blobs/" + digest, "a//b/tags/list", "%2e/manifests/\x00", "${x}/blobs/sha256:", "日/referrers/本"} {
		f.Add("/v2/" + seed)
	}
	name := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)
	f.Fuzz(func(t *testing.T, path string) {
		to, ok := Parse(path)
		if !ok {
			return
		}
		if _, err := ParseName(to.Name); err == nil && (!name.MatchString(to.Name) || strings.Contains(to.Name, "..")) {
			t.Errorf("%q has the name %q", path, to.Name)
		}
		if d, err := ParseDigest(to.Reference); err == nil && (d.String() != to.Reference || len(to.Reference) != len(digest)) {
			t.Errorf("%q has the digest %q", path, to.Reference)
		}
	})
}
