package nixbuild

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEnvironment(t *testing.T) {
	all := []string{
		"PATH=/bin", "HOME=/h", "LC_ALL=C", "HTTPS_PROXY=http://p", "no_proxy=x", "NIX_PATH=nixpkgs=/n", "GIT_SSH_COMMAND=ssh -v",
		"GITHUB_TOKEN=s", "GH_TOKEN=s", "AWS_SECRET_ACCESS_KEY=s", "AWS_PROFILE=p", "INPUT_TAGS=s", "ACTIONS_RUNTIME_TOKEN=s", "NIX_TOKEN=s",
		"GIT_CONFIG_VALUE_0=s", "NIXERY_NIX_URL=s", "path=s", "PATHX=s", "XPATH=s", "OTHER=one=two", "GIT_ASKPASS=/askpass", "NOVALUE",
	}
	env, secret := environment(all, []string{"OTHER", "AWS_PROFILE", "MISSING"}, []string{"PATH=/own", "NEW=n"})
	want := []string{
		"AWS_PROFILE=p", "GIT_ASKPASS=/askpass", "GIT_SSH_COMMAND=ssh -v", "HOME=/h", "HTTPS_PROXY=http://p", "LC_ALL=C", "NEW=n", "NIX_PATH=nixpkgs=/n",
		"OTHER=one=two", "PATH=/own", "no_proxy=x",
	}
	if !slices.Equal(env, want) || secret != "" {
		t.Errorf("got %q and %q", env, secret)
	}
	if got := Withheld(all, nil); !slices.Equal(got, []string{"GIT_CONFIG_VALUE_0"}) {
		t.Errorf("withheld: %q", got)
	}
}

// Settings with secrets are in the pipe, all lines of each, in their order; where Nix would look for settings, it still does.
func TestSplitConfig(t *testing.T) {
	config := "sandbox = true\nsubstituters = https://a\nextra-access-tokens = github.com=T1\n  access-tokens=x=T2\nextra-substituters = https://u:pw@b\n" +
		"builders = ssh://me@b\nmax-jobs = 2"
	for files, env := range map[string][]string{
		"/h/.config/nix/nix.conf:/etc/xdg/nix/nix.conf":   {"HOME=/h"},
		"/c/nix/nix.conf:/a/nix/nix.conf:/b/nix/nix.conf": {"HOME=/h", "XDG_CONFIG_HOME=/c", "XDG_CONFIG_DIRS=/a:/b"},
		"/n/nix.conf:/etc/xdg/nix/nix.conf":               {"HOME=/h", "NIX_CONFIG_HOME=/n", "XDG_CONFIG_HOME=/c"},
		"/mine:/other":                                    {"HOME=/h", "NIX_USER_CONF_FILES=/mine:/other"},
	} {
		got, secret := environment(append(env, "NIX_CONFIG="+config), nil, nil)
		if want := "NIX_CONFIG=sandbox = true\nmax-jobs = 2"; !slices.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if want := "NIX_USER_CONF_FILES=" + tokensFile + ":" + files; !slices.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		want := "substituters = https://a\nextra-access-tokens = github.com=T1\n  access-tokens=x=T2\nextra-substituters = https://u:pw@b\nbuilders = ssh://me@b\n"
		if secret != want {
			t.Errorf("got %q, want %q", secret, want)
		}
	}
	if got, secret := environment([]string{"NIX_CONFIG=" + config}, []string{"NIX_CONFIG"}, nil); secret != "" || !slices.Contains(got, "NIX_CONFIG="+config) {
		t.Errorf("asked for, and split: %q", got)
	}
}

func TestParseVariables(t *testing.T) {
	got, err := ParseVariables(" AWS_PROFILE,A_1\n\tx ")
	if err != nil || !slices.Equal(got, []string{"AWS_PROFILE", "A_1", "x"}) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"A=hunter2", "AWS_*", "1A", "ghp-hunter2"} {
		if _, err := ParseVariables("GOOD " + bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// More secret settings than a pipe holds arrive whole, and a program that reads none of them ends all the same.
func TestSecretPipe(t *testing.T) {
	config := "NIX_CONFIG=access-tokens = " + strings.Repeat("github.com=T ", 30_000)
	out, err := Exec{Env: []string{config}}.Run(t.Context(), "sh", "-c", "wc -c <"+tokensFile)
	if err != nil || strings.TrimSpace(string(out)) != "390017" {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := (Exec{Env: []string{config}}).Run(t.Context(), "true"); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil && len(entries) > 50 {
		t.Errorf("%d files are open", len(entries))
	}
}

// What the page says is passed is.
func TestPassedIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/nix.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## What Nix and builders see")
	table, _, _ := strings.Cut(section, "`NIXERY_NIX_ENV` lists")
	names := regexp.MustCompile("`([A-Za-z_]+)`").FindAllStringSubmatch(table, -1)
	if len(names) < 40 {
		t.Errorf("only %d names found", len(names))
	}
	for _, name := range names {
		if !Passed(name[1]) {
			t.Errorf("%s is not passed", name[1])
		}
	}
}
