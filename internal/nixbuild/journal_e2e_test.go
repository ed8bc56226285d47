//go:build e2e

package nixbuild

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Read from its journal, Nix prints what it prints otherwise.
func TestJournalSaysWhatNixSays(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		packages := mustEvaluate(t, nix, Source{Path: tiny(t)}, onSystems([]string{native}, "fails"))
		var lines []string
		nix.Stderr = func(line string) { lines = append(lines, line) }
		run := func(options ...string) []string {
			lines = nil
			args := append([]string{"nix-build", "--no-out-link", string(packages[0].Drv)}, options...)
			if _, err := nix.Run(t.Context(), args...); err == nil {
				t.Error("no error")
			}
			return slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "       > ") })
		}
		plain, journal := run(), run(journalFormat...)
		if len(plain) < 40 || !slices.Equal(plain, journal) {
			t.Errorf("Nix says\n%s\nand its journal\n%s", strings.Join(plain, "\n"), strings.Join(journal, "\n"))
		}
	})
}

func TestProgressOfDownloads(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		src := Source{Path: expression(t, `{ system }: let
			package = name: script: derivation { inherit name system; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
				salt = "`+salt()+`"; args = [ "-c" script ]; };
			below = package "below" "head -c 200000 /dev/urandom >$out";
		in { above = package "above" "head -c 200000 /dev/urandom >$out; echo ${below} >>$out"; }`)}
		packages := mustEvaluate(t, nix, src, onSystems([]string{native}, "above"))
		var all []Progress
		nix.Moved = func(p Progress) { all = append(all, p) }
		realise := func(nix Exec) Progress {
			all = nil
			if err := Realise(t.Context(), nix, packages, t.TempDir()); err != nil {
				t.Fatal(err)
			}
			return all[len(all)-1]
		}
		if p := realise(nix); p.Built != 2 || p.Builds != 2 || p.Fetch != 0 || p.Doing != "" {
			t.Errorf("built: %+v", p)
		}

		directory := t.TempDir()
		run := func(args ...string) {
			if _, err := nix.Run(t.Context(), args...); err != nil {
				t.Fatal(err)
			}
		}
		run("nix", "--extra-experimental-features", "nix-command", "copy", "--to", "file://"+directory, string(packages[0].Out))
		server := httptest.NewServer(http.FileServer(http.Dir(directory)))
		defer server.Close()
		out, err := nix.Run(t.Context(), "nix-store", "--query", "--requisites", string(packages[0].Out))
		if err != nil {
			t.Fatal(err)
		}
		for _, cache := range []string{server.URL, "file://" + directory} {
			run(append([]string{"nix-store", "--delete", "--ignore-liveness"}, strings.Fields(string(out))...)...)
			fetching := nix
			fetching.Env = append(slices.Clone(nix.Env), "NIX_CONFIG=substituters = "+cache+"\nrequire-sigs = false\nbuild-users-group =\n")
			if p := realise(fetching); p.Built != 0 || p.Fetched != 2 || p.Fetch != 2 || p.AllBytes < 400_000 || p.Bytes < 100_000 {
				t.Errorf("from %s: %+v", cache, p)
			}
		}
	})
}

func TestProgressOfAPackageSet(t *testing.T) {
	directory := t.TempDir()
	set := `{ system }: { a = derivation { name = "a"; inherit system; builder = "/bin/sh"; }; }`
	if err := os.MkdirAll(filepath.Join(directory, "set"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(directory, "set", "default.nix"), []byte(set), 0o644); err != nil {
		t.Fatal(err)
	}
	eachNix(t, func(t *testing.T, nix Exec) {
		if _, err := nix.Run(t.Context(), "tar", "-C", directory, "-czf", filepath.Join(directory, "set.tar.gz"), "set"); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(http.FileServer(http.Dir(directory)))
		defer server.Close()
		var all []Progress
		nix.Moved = func(p Progress) { all = append(all, p) }
		src := Source{Path: expression(t, `{ system }: import (builtins.fetchTarball "`+server.URL+`/set.tar.gz") { inherit system; }`)}
		mustEvaluate(t, nix, src, onSystems([]string{native}, "a"))
		if !slices.ContainsFunc(all, func(p Progress) bool { return p.Doing == "downloading from 127.0.0.1" && p.Bytes > 0 }) {
			t.Errorf("got %+v", all)
		}
	})
}
