package nixinstall

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/nixbuild"
)

func TestInstall(t *testing.T) {
	m := serve(t, pack(t, release()))
	i := m.installer(t)
	bin, err := i.Install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(i.root, "var/nix/profiles/default/bin"); bin != want {
		t.Errorf("programs are in %s, want %s", bin, want)
	}
	if found, ok := find(i.root, ""); !ok || found != bin {
		t.Errorf("a second run finds %q, %v", found, ok)
	}
	var got []string
	err = filepath.WalkDir(i.root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		about, err := d.Info()
		rel, _ := filepath.Rel(i.root, name)
		line := fmt.Sprintf("%s %s", about.Mode(), rel)
		if about.Mode().IsRegular() && strings.HasPrefix(rel, "store") && about.ModTime() != epoch {
			line += fmt.Sprint(" of ", about.ModTime())
		}
		got = append(got, line)
		return err
	})
	want := []string{
		"drwxr-xr-x .",
		"drwxr-xr-x store",
		"dr-xr-xr-x store/" + fakeNix,
		"dr-xr-xr-x store/" + fakeNix + "/bin",
		"Lrwxrwxrwx store/" + fakeNix + "/bin/nix",
		"-r-xr-xr-x store/" + fakeNix + "/bin/nix-env",
		"-r-xr-xr-x store/" + fakeNix + "/bin/nix-store",
		"dr-xr-xr-x store/" + fakeCerts,
		"dr-xr-xr-x store/" + fakeCerts + "/etc",
		"-r--r--r-- store/" + fakeCerts + "/etc/ca-bundle.crt",
		"-r--r--r-- store/" + fakeCerts + "/etc/same.crt",
		"drwxr-xr-x var",
		"drwxr-xr-x var/nix",
		"drwxr-xr-x var/nix/db",
		"-rw-r--r-- var/nix/db/known",
		"drwxr-xr-x var/nix/profiles",
		"drwxr-xr-x var/nix/profiles/default",
		"Lrwxrwxrwx var/nix/profiles/default/bin",
		"Lrwxrwxrwx var/nix/profiles/default/etc",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v; got:\n%s\nwant:\n%s", err, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if known, _ := os.ReadFile(filepath.Join(i.root, "var/nix/db/known")); string(known) != "what the database knows\n" {
		t.Errorf("the database was told %q", known)
	}
	_, err = os.Stat(filepath.Join(i.ConfDir, "nix.conf"))
	if configured := err == nil; configured != (os.Geteuid() == 0) {
		t.Errorf("nix.conf: %v, for user %d", err, os.Geteuid())
	}
	if left, _ := os.ReadDir(i.TempDir); len(left) > 0 {
		t.Errorf("%s is left", left[0].Name())
	}
}

// A wire that breaks or is busy is tried again; what cannot go better is not,
// and nothing is left of it.
func TestInstallOverABadWire(t *testing.T) {
	archive := pack(t, release())
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(archive)))
		_, _ = w.Write(archive[:len(archive)/2])
	}
	other := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>log in first</html>")) }
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(archive); err != nil {
				return
			}
		}
	}
	large := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "100000000000") }
	for name, tc := range map[string]struct {
		faults   []http.HandlerFunc
		requests int
		err      string
	}{
		"busy twice":     {[]http.HandlerFunc{status(503), status(429)}, 3, ""},
		"cut once":       {[]http.HandlerFunc{cut}, 2, ""},
		"cut always":     {slices.Repeat([]http.HandlerFunc{cut}, 9), 5, "unexpected EOF"},
		"not there":      {[]http.HandlerFunc{status(404)}, 1, "the server answered 404 Not Found"},
		"something else": {[]http.HandlerFunc{other}, 1, "its SHA-256 is "},
		"endless":        {[]http.HandlerFunc{endless}, 1, "it is too large"},
		"said to be so":  {[]http.HandlerFunc{large}, 1, "it is too large"},
		"redirected":     {[]http.HandlerFunc{http.RedirectHandler("http://nix.example/", http.StatusFound).ServeHTTP}, 1, "it redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			m := serve(t, archive, tc.faults...)
			i := m.installer(t)
			i.most = int64(len(archive))
			_, err := i.Install(t.Context())
			if m.count() != tc.requests {
				t.Errorf("%d requests, want %d", m.count(), tc.requests)
			}
			if tc.err == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			where := "installing nix-9.9-x86_64-linux: downloading " + m.URL + "/nix-9.9-x86_64-linux.tar.xz: "
			if err == nil || !strings.HasPrefix(err.Error(), where) || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("got %v, want %s…%s", err, where, tc.err)
			}
			mustBeClean(t, i)
		})
	}
}

func TestInstallCancelled(t *testing.T) {
	reason := errors.New("the job was cancelled")
	for name, when := range map[string]func(cancel func(), archive []byte) http.HandlerFunc{
		"in the middle of the download": func(cancel func(), archive []byte) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write(archive[:100])
				w.(http.Flusher).Flush()
				cancel()
				<-r.Context().Done()
			}
		},
		"between two attempts": func(cancel func(), _ []byte) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				cancel()
				w.WriteHeader(http.StatusBadGateway)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			archive := pack(t, release())
			m := serve(t, archive, when(func() { cancel(reason) }, archive))
			i := m.installer(t)
			i.Keep = filepath.Join(i.TempDir, "kept")
			if _, err := i.Install(ctx); !errors.Is(err, reason) {
				t.Errorf("got %v", err)
			}
			i.TempDir = ""
			mustBeClean(t, i)
		})
	}
}

// What goes wrong after the store is there takes it away again.
func TestInstallUndone(t *testing.T) {
	for want, change := range map[string]func([]member){
		"no space for a database": func(m []member) {
			m[5].content = "#!/bin/sh\nmkdir ${0%/store/*}/var/nix/db; echo no space for a database >&2; exit 1\n"
		},
		"no space for a profile":  func(m []member) { m[6].content = "#!/bin/sh\necho no space for a profile >&2; exit 1\n" },
		"its script names no Nix": func(m []member) { m[1].content = "nix=\"/nix/store/../../bin\"\n" },
	} {
		t.Run(want, func(t *testing.T) {
			members := release()
			change(members)
			i := serve(t, pack(t, members)).installer(t)
			_, err := i.Install(t.Context())
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
			if _, answer := errors.AsType[*nixbuild.ExitError](err); answer {
				t.Error("it passes for what Nix says of packages")
			}
			mustBeClean(t, i)
		})
	}
}

// An existing /nix is left as it is, whatever is in it.
func TestInstallLeavesOthersAlone(t *testing.T) {
	m := serve(t, pack(t, release()))
	i := m.installer(t)
	if err := os.MkdirAll(filepath.Join(i.root, "store/x"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := i.Install(t.Context())
	if err == nil || !strings.Contains(err.Error(), `has "store" in it, and is left alone`) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(i.root, "store/x")); err != nil || m.count() != 0 {
		t.Errorf("%v, %d requests", err, m.count())
	}
}

// A volume of its own for /nix is used, and stays.
func TestInstallIntoAVolume(t *testing.T) {
	m := serve(t, pack(t, release()), status(404))
	i := m.installer(t)
	if err := os.MkdirAll(filepath.Join(i.root, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Install(t.Context()); err == nil {
		t.Fatal("the first try succeeded")
	}
	if entries, err := os.ReadDir(i.root); err != nil || len(entries) != 1 {
		t.Errorf("in the volume are %v, %v", entries, err)
	}
	if _, err := i.Install(t.Context()); err != nil {
		t.Error(err)
	}
}
