package route

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestAllowed(t *testing.T) {
	rules := []string{"git", "python3Packages.*", "SHELL", "nodejs_*", "_7zz", "perl*.DBI"}
	for in, want := range map[string]string{ // what is denied, or what must be the same derivation
		"git":                                 "map[] ",
		"GIT":                                 "map[GIT:[git]] ",
		"shell/git":                           "map[] ",
		"Shell/git":                           "map[] Shell", // a package of that name is not the meta-package
		"python3Packages.requests":            "map[] ",
		"python3packages.requests":            "map[python3packages.requests:[python3Packages.requests]] ",
		"PYTHON3PACKAGES.Requests":            "map[PYTHON3PACKAGES.Requests:[python3Packages.Requests]] ",
		"python3Packages":                     "map[] python3Packages",
		"python3Packages.pkgs.requests":       "map[] python3Packages.pkgs.requests",
		"python3Packages.python.pkgs.curl":    "map[] python3Packages.python.pkgs.curl",
		"python3packages.requests.dev":        "map[] python3packages.requests.dev",
		"python3Packagesx.requests":           "map[] python3Packagesx.requests",
		"python3":                             "map[] python3",
		"nodejs_22":                           "map[] ",
		"nodejs_22.pkgs":                      "map[] nodejs_22.pkgs",
		"Nodejs_22":                           "map[Nodejs_22:[nodejs_22]] ",
		"nodejs":                              "map[] nodejs",
		"perl540Packages.DBI":                 "map[] ",
		"perl540packages.dbi":                 "map[perl540packages.dbi:[perl540packages.DBI]] ",
		"7zz":                                 "map[7zz:[_7zz]] ",
		"7z":                                  "map[] 7z",
		"gitui":                               "map[] gitui",
		"git.out":                             "map[] git.out",
		"pkgs.git":                            "map[] pkgs.git",
		"git/htop":                            "map[] htop",
		"arm64/git":                           "map[] ",
		"arm64/GIT":                           "map[GIT:[git]] ",
		"builder/git":                         "map[] builder",
		"bashInteractive":                     "map[] bashInteractive", // though shell has it
		"git/pkgsCross.aarch64-multiplatform": "map[] pkgsCross.aarch64-multiplatform",
	} {
		plain, denied := mustParse(t, in).Allowed(rules)
		if plain == nil {
			plain = map[string][]string{}
		}
		if got := fmt.Sprint(plain, " ", denied); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
		if plain, denied := mustParse(t, in).Allowed(nil); denied != "" || len(plain) != 0 {
			t.Errorf("%s is denied by no rule", in)
		}
	}
	// Where one of several rules has the very name, nothing is left to compare.
	if plain, denied := mustParse(t, "GIT").Allowed([]string{"git", "G*"}); len(plain) != 0 || denied != "" {
		t.Errorf("got %v, %s", plain, denied)
	}
	// All of one component, and nothing below.
	for in, want := range map[string]string{"git": "", "shell/git": "", "a.b": "a.b", "pkgs.git": "pkgs.git"} {
		if _, denied := mustParse(t, in).Allowed([]string{"*"}); denied != want {
			t.Errorf("* denies %q of %s", denied, in)
		}
	}
}

func TestCheckRule(t *testing.T) {
	for _, rule := range []string{"git", "python3Packages.*", "*", "*.*", "nodejs_*", "_7zz", "gtk+3", "a-b.c_d*.e"} {
		if err := CheckRule(rule); err != nil {
			t.Error(err)
		}
	}
	for _, rule := range []string{"", ".", "git.", ".git", "a..b", "*git", "g*t", "**", "a.**", "git ", "a/b", "python3Packages.*.", "git\n", "+", strings.Repeat("a", maxName+1)} {
		if CheckRule(rule) == nil {
			t.Errorf("%q passes", rule)
		}
	}
}

// FuzzAllowed: what a rule matches has its components, and its spelling is the rule's.
func FuzzAllowed(f *testing.F) {
	f.Add("python3packages.requests", "python3Packages.*")
	f.Add("7zz", "_7*")
	f.Add("a.b.c", "*")
	f.Fuzz(func(t *testing.T, pkg, rule string) {
		n, err := ParseName(pkg)
		if err != nil || CheckRule(rule) != nil || strings.Contains(pkg, "/") {
			return
		}
		plain, denied := n.Allowed([]string{rule})
		if denied != "" || slices.Contains(metaPackages, pkg) {
			return
		}
		if strings.Count(pkg, ".") != strings.Count(rule, ".") {
			t.Errorf("%q matches %q", rule, pkg)
		}
		for _, spelled := range plain[pkg] {
			if !strings.EqualFold(strings.TrimPrefix(spelled, "_"), pkg) || !strings.HasPrefix(spelled, strings.TrimRight(strings.Split(rule, ".")[0], "*")) {
				t.Errorf("%q is spelled %q by %q", pkg, spelled, rule)
			}
		}
	})
}
