package crawl

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

// path makes a store path whose hash is drawn from its name.
func path(name string) nix.StorePath {
	hash := strings.Map(func(r rune) rune {
		if strings.ContainsRune("0123456789abcdfghijklmnpqrsvwxyz", r) {
			return r
		}
		return '0'
	}, fmt.Sprintf("%032s", name))
	return nix.StorePath("/nix/store/" + hash[len(hash)-32:] + "-" + name)
}

func paths(names ...string) []nix.StorePath {
	var all []nix.StorePath
	for _, name := range names {
		all = append(all, path(name))
	}
	return all
}

func TestTally(t *testing.T) {
	var tally Tally
	tally.Add(path("git-2.39"), paths("glibc-2.39", "zlib-1.3", "git-2.39"))
	tally.Add(path("git-2.39-doc"), paths("git-2.39"))           // another store path of its own name
	tally.Add(path("curl-8"), paths("glibc-2.39", "glibc-2.40")) // two of one name
	tally.Add(path("curl-8"), paths("zlib-1.3"))                 // it was counted already
	tally.Add(path("zlib-1.3"), paths("zlib-1.3"))               // itself only
	tally.Add(path("curl-8.drv"), paths("glibc-2.39"))           // a derivation
	if want := (popularity.Counts{"glibc": 2, "zlib": 1, "git": 1}); !cmp.Equal(tally.Counts(1), want) {
		t.Errorf("got %v, want %v", tally.Counts(1), want)
	}
	if want := (popularity.Counts{"glibc": 2}); !cmp.Equal(tally.Counts(2), want) {
		t.Errorf("with two referrers: got %v, want %v", tally.Counts(2), want)
	}
	if tally.Referrers() != 4 {
		t.Errorf("%d referrers", tally.Referrers())
	}
}

func TestWriteIsSortedAndReadsBack(t *testing.T) {
	counts := popularity.Counts{"zlib": 3, "glibc": 7, "a+b": 1, "0ad": 2}
	var b bytes.Buffer
	if err := counts.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"0ad\": 2,\n  \"a+b\": 1,\n  \"glibc\": 7,\n  \"zlib\": 3\n}\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	read, err := popularity.Read(&b)
	if err != nil || !cmp.Equal(read, counts) {
		t.Errorf("reads back as %v, %v", read, err)
	}
}

// The constant is what `sha256sum` says of the file.
func TestSHA256(t *testing.T) {
	const want = "cbde123d921be9168f57937793902e39ea739144aabde780051b72ede9500beb"
	if got := (popularity.Counts{"zlib": 3, "glibc": 7}).SHA256(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if popularity.Counts(nil).SHA256() != (popularity.Counts{}).SHA256() {
		t.Error("no table and an empty one differ")
	}
}
