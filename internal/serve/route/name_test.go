package route

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseName(t *testing.T) {
	for in, want := range map[string]string{ // architecture: packages
		"git":                              ": git",
		"shell/git/htop":                   ": git htop shell",
		"shell/htop/git":                   ": git htop shell",
		"git/git":                          ": git",
		"arm64/git":                        "arm64: git",
		"amd64/git":                        "amd64: git",
		"arm64/shell/git":                  "arm64: git shell",
		"shell/arm64/git":                  "arm64: git shell",
		"arm64/arm64/git":                  "arm64: git",
		"shell":                            ": shell",
		"builder/shell":                    ": builder shell",
		"arm64/builder":                    "arm64: builder",
		"python3Packages.requests":         ": python3Packages.requests",
		"python3packages.requests/7zz":     ": 7zz python3packages.requests",
		"SDL":                              ": SDL",
		"manifests/blobs":                  ": blobs manifests",
		"a__b/a--b/a_b":                    ": a--b a__b a_b",
		strings.Repeat("a/", 60) + "zz":    ": a zz",
		strings.Repeat("a", maxPackage):    ": " + strings.Repeat("a", maxPackage),
		"nodejs_22/gcc-unwrapped/x86.test": ": gcc-unwrapped nodejs_22 x86.test",
	} {
		n, err := ParseName(in)
		if got := n.architecture + ": " + strings.Join(n.Packages(), " "); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestParseNameRefuses(t *testing.T) {
	for _, in := range []string{
		"", "/", "/git", "git/", "a//b", "..", "../etc/passwd", "a/../b", ".hidden", "a.", "a..b", "-a", "a-", "_a", "a_", "a___b",
		"a b", "a\nb", "a\x00b", "a;b", "a$b", "${a}", "a\"b", "a'b", "a`b", "a\\b", "a@b", "a:b", "a+b", "a=b", "a&b", "a|b", "a(b)", "[a]", "{a}",
		"日本", "a\u200bb", "ａ", "git?x=1", "git#x", "%2e%2e", "<nixpkgs>", "builtins.exec ", "let x",
		"arm64", "amd64", "arm64/amd64/git", "git/shell", "git/arm64", "shell/git/builder", "git/amd64/htop",
		strings.Repeat("a", maxPackage+1), strings.Repeat("a/", 127) + "bb",
	} {
		if n, err := ParseName(in); err == nil {
			t.Errorf("%q passes, as %v", in, n)
		}
	}
}

// Every order of the same packages is one name, and no two different images are: Nixery's ab/c and a/bc were one.
func TestNameStandsForOneImage(t *testing.T) {
	same := []string{"shell/git/htop", "shell/htop/git", "shell/git/htop/git"}
	for _, other := range same {
		if a, b := mustParse(t, same[0]), mustParse(t, other); a.String() != b.String() {
			t.Errorf("%s is %s, %s is %s", same[0], a, other, b)
		}
	}
	seen := map[string]string{}
	for _, in := range []string{"ab/c", "a/bc", "abc", "a/b/c", "a.b/c", "arm64/abc", "amd64/abc", "shell/abc", "arm64/shell/abc"} {
		n := mustParse(t, in).String()
		if before, taken := seen[n]; taken {
			t.Errorf("%s and %s are both %s", before, in, n)
		}
		seen[n] = in
		if again := mustParse(t, n); !cmp.Equal(again, mustParse(t, in), cmp.AllowUnexported(Name{})) {
			t.Errorf("%s, written as %s, is %v", in, n, again)
		}
	}
}

func mustParse(t testing.TB, s string) Name {
	t.Helper()
	n, err := ParseName(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return n
}

// FuzzParseName: what passes is nothing but the grammar, is short, and stands for the same image whatever its order.
func FuzzParseName(f *testing.F) {
	for _, seed := range []string{"shell/git/htop", "arm64/x", "a/../b", "a\x00", "${builtins.exec}", "python3Packages.requests", "A/a", "日/本"} {
		f.Add(seed)
	}
	plain := regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		if len(s) > maxName || len(n.packages) == 0 || !slices.IsSorted(n.packages) {
			t.Errorf("%q gave %v", s, n)
		}
		for _, p := range n.packages {
			if !plain.MatchString(p) || strings.Contains(p, "..") || !slices.Contains(strings.Split(s, "/"), p) {
				t.Errorf("%q gave the package %q", s, p)
			}
		}
		parts := strings.Split(n.Image(), "/")
		if n.architecture != "" {
			parts = append([]string{n.architecture}, parts...)
		}
		again, err := ParseName(strings.Join(parts, "/"))
		if err != nil || again.String() != n.String() {
			t.Errorf("%q is %s, which is %s (%v)", s, n, again, err)
		}
	})
}
