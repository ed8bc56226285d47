package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob/memblob"

	"github.com/org/nixery-action/internal/blobstore"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/spec"
)

func TestMissingPackages(t *testing.T) {
	r := newRegistry(t, nil)
	for _, c := range []struct{ path, accept, want string }{
		{"hgop", "", "package hgop (x86_64-linux) does not exist (did you mean htop?)"},
		{"zzzzzzzz", "", "package zzzzzzzz (x86_64-linux) does not exist"},
		{"git/unfree", "", "package unfree (x86_64-linux) is unfree, which this registry does not accept: Some Licence"},
		{"arm64/broken", "", "package broken (aarch64-linux) is marked as broken"},
		{"set", allTypes, "package set (x86_64-linux, aarch64-linux) is not a package but a set"},
		{"onlyX86", allTypes, "package onlyX86 (aarch64-linux) is not available for this system: only for x86_64-linux; " +
			"for one architecture alone, ask for amd64/onlyX86"},
		{"arm64/onlyX86", allTypes, "package onlyX86 (aarch64-linux) is not available for this system: only for x86_64-linux"},
	} {
		got := r.refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", http.MethodGet, "/v2/"+c.path+"/manifests/latest", "Accept", c.accept)
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.path, got, c.want)
		}
		if b := r.Builds()[0]; b.Err != c.want { // the page says what the client was told
			t.Errorf("%s: the build's error is %s", c.path, b.Err)
		}
	}
	_, _, detail := r.do(http.MethodGet, "/v2/hgop/unfree/manifests/latest").fault(t)
	want := []missingPackage{{"hgop", "x86_64-linux", "not found", []string{"htop"}}, {"unfree", "x86_64-linux", "unfree", nil}}
	var got []missingPackage
	if err := json.Unmarshal(detail, &got); err != nil || !cmp.Equal(want, got) {
		t.Errorf("the detail is %s (%v)", detail, err)
	}
	r.get("/v2/onlyX86/manifests/latest") // is there, for who takes one architecture
}

// Who asks again for what is not there, or does not build, is told so without a process, for a while.
func TestFaultsAreRemembered(t *testing.T) {
	r := newRegistry(t, nil)
	failing := newRegistry(t, nil)
	failing.nix.before = func(_ context.Context, program string) error {
		if program == "nix-build" {
			return &nixbuild.ExitError{Program: program, Status: "exit status 1", Stderr: []string{
				"error: builder for '/nix/store/00000000000000000000000000000000-app.drv' failed with exit code 3;"}}
		}
		return nil
	}
	for range 3 {
		failing.refuse(http.StatusInternalServerError, "UNKNOWN", http.MethodGet, "/v2/app/manifests/latest")
	}
	now := time.Now().Add(time.Minute)
	failing.clock(func() time.Time { return now })
	failing.refuse(http.StatusInternalServerError, "UNKNOWN", http.MethodGet, "/v2/app/manifests/latest")
	if n := failing.nix.count("nix-build"); n != 2 {
		t.Errorf("%d runs of nix-build", n)
	}
	first := r.refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", http.MethodGet, "/v2/hgop/manifests/latest")
	r.nix.forget()
	if second := r.refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", http.MethodGet, "/v2/hgop/manifests/latest"); second != first || r.nix.count("") != 0 {
		t.Errorf("first %s, then %s, with %v", first, second, r.nix.calls)
	}
}

func TestFaults(t *testing.T) {
	exit := func(lines ...string) error {
		return &nixbuild.ExitError{Program: "nix-build", Status: "exit status 1", Stderr: lines}
	}
	drv := "/nix/store/00000000000000000000000000000000-app.drv"
	for title, c := range map[string]struct {
		err    error
		accept string
		status int
		code   string
		want   string
	}{
		"a build that fails": {exit("error: builder for '" + drv + "' failed with exit code 3;"), "",
			http.StatusInternalServerError, "UNKNOWN", "building app.drv: its builder failed with exit code 3"},
		"another system": {exit("error: a 'aarch64-linux' with features {} is required to build '" + drv + "', but I am a 'x86_64-linux' with features {kvm}"),
			allTypes, http.StatusNotFound, "MANIFEST_UNKNOWN", "app.drv is not in a binary cache, takes aarch64-linux to build, and this registry can " +
				"build for x86_64-linux only; for one architecture alone, ask for amd64/app"},
		"storage": {&blobstore.StorageError{Op: "writing", Key: "secret/key", Err: errors.New("hunter2")}, "",
			http.StatusServiceUnavailable, "UNAVAILABLE", "the registry's storage did not do as it should: writing"},
		"anything else": {errors.New("hunter2"), "", http.StatusInternalServerError, "UNKNOWN", "something is wrong with this registry; its log says what"},
	} {
		r := newRegistry(t, nil)
		r.nix.before = func(_ context.Context, program string) error {
			if program == "nix-build" {
				return c.err
			}
			return nil
		}
		if got := r.refuse(c.status, c.code, http.MethodGet, "/v2/app/manifests/latest", "Accept", c.accept); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", title, got, c.want)
		}
	}
}

// A source that is out of reach is not the fault of a client that pulls latest. A branch or commit that cannot be fetched is most likely misspelt.
func TestSourceOutOfReach(t *testing.T) {
	r := newRegistry(t, func(o *Options) {
		o.Source = spec.Nixpkgs{Git: &spec.Git{URL: "https://user:hunter2@example.com/pkgs.git"}}
	})
	r.nix.before = func(context.Context, string) error {
		return &nixbuild.ExitError{Program: "git", Status: "exit status 128", Stderr: []string{"fatal: cannot read https://user:hunter2@example.com/pkgs.git"}}
	}
	r.refuse(http.StatusServiceUnavailable, "UNAVAILABLE", http.MethodGet, "/v2/app/manifests/latest")
	message := r.refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", http.MethodGet, "/v2/app/manifests/dev")
	if !strings.Contains(message, "dev") || strings.Contains(message, "hunter2") {
		t.Errorf("got %s", message)
	}
}

// A password in the source's address comes out nowhere, however Nix says it.
func TestSecretsStayInside(t *testing.T) {
	var log strings.Builder
	r := newRegistry(t, func(o *Options) {
		o.Source = spec.Nixpkgs{Git: &spec.Git{URL: "https://hunter2@example.com/pkgs.git", Rev: someCommit}}
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	r.nix.lines = []string{"fetching Git repository 'https://hunter2@example.com/pkgs.git'"}
	r.get("/v2/app/manifests/latest")
	r.nix.before = func(context.Context, string) error { return errors.New("hunter2 is wrong") }
	r.refuse(http.StatusInternalServerError, "UNKNOWN", http.MethodGet, "/v2/git/manifests/latest")
	if err := r.Close(t.Context()); err != nil { // a build's end is told after its clients were
		t.Fatal(err)
	}
	keys := r.bucket.List(nil)
	shown := fmt.Sprint(r.Builds(), log.String())
	for {
		object, err := keys.Next(t.Context())
		if err != nil {
			break
		}
		if content, err := r.bucket.ReadAll(t.Context(), object.Key); err == nil && strings.HasPrefix(object.Key, "tags/") {
			shown += string(content)
		}
	}
	if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "fetching Git repository 'https://***@") || !strings.Contains(shown, "digests") {
		t.Errorf("shown is %s", shown)
	}
}

func TestAllowList(t *testing.T) {
	r := newRegistry(t, func(o *Options) { o.Allow = []string{"app", "core*"} })
	for _, path := range []string{"git/manifests/latest", "app/git/manifests/latest", "shell/app/manifests/latest", "git/tags/list", "git/blobs/" + absentDigest} {
		r.refuse(http.StatusForbidden, "DENIED", http.MethodGet, "/v2/"+path)
	}
	if r.nix.count("") != 0 {
		t.Errorf("processes were started: %v", r.nix.calls)
	}
	r.get("/v2/app/coreutils/manifests/latest")
}

// Storage that is not there any more: every answer is an error that says to come again.
func TestStorageDown(t *testing.T) {
	r := newRegistry(t, nil)
	digest := r.get("/v2/app/manifests/latest").digest()
	if err := r.bucket.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"app/manifests/latest", "app/manifests/" + digest, "app/blobs/" + digest, "git/manifests/latest"} {
		answer := r.do(http.MethodGet, "/v2/"+path)
		if code, _, _ := answer.fault(t); answer.StatusCode != http.StatusServiceUnavailable || code != "UNAVAILABLE" || answer.Header.Get("Retry-After") != "30" {
			t.Errorf("%s: %s %s", path, answer.Status, answer.content)
		}
	}
	r.bucket = memblob.OpenBucket(nil)
}
