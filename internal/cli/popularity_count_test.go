package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ulikunitz/xz"

	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/redact"
)

// hash is a store path's, made of a number.
const hash = "%032d"

// channelServer is a channel, and its binary cache, of n store paths that all
// refer to the first. Those in faults have no narinfo, but this instead.
func channelServer(t *testing.T, n int, faults map[int]http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	var list bytes.Buffer
	w, err := xz.NewWriter(&list)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		path := fmt.Sprintf("/nix/store/"+hash+"-p%d-1", i, i)
		fmt.Fprintln(w, path)
		narinfo := fmt.Sprintf("StorePath: %s\nURL: nar/x\nNarHash: sha256:%052d\nNarSize: 1\nReferences: "+hash+"-p0-1\n", path, 0, 0)
		answer := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, narinfo) }
		if fault := faults[i]; fault != nil {
			answer = fault
		}
		mux.HandleFunc(fmt.Sprintf("/"+hash+".narinfo", i), answer)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("/nix-cache-info", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "StoreDir: /nix/store\n") })
	mux.HandleFunc("/channels/nixos-25.11/store-paths.xz", func(w http.ResponseWriter, _ *http.Request) { w.Write(list.Bytes()) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func executed(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, log bytes.Buffer
	display := progress.New(&log, false, func() int { return 80 }, time.Now)
	c := &console{stdout: &out, stderr: redact.NewWriter(&log), display: display, log: slog.New(slog.NewTextHandler(display.Writer(), nil))}
	err = execute(ctx, c, args)
	return out.String(), log.String(), err
}

func countArgs(s *httptest.Server, more ...string) []string {
	return append([]string{"popularity", "count", "--channel", "nixos-25.11", "--channels-url", s.URL + "/channels", "--binary-cache", s.URL}, more...)
}

func TestCountChannel(t *testing.T) {
	missing := map[int]http.HandlerFunc{3: http.NotFound, 5: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>\n") }}
	metadata := filepath.Join(t.TempDir(), "metadata.json")
	s := channelServer(t, 10, missing)
	stdout, stderr, err := executed(t.Context(), countArgs(s, "--metadata-file", metadata)...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(metadata)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"source": "` + s.URL + `/channels/nixos-25.11/store-paths.xz",`, `"referrers": 8,`, `"names": 1,`, `"sha256": "`, `p3-1",` + "\n" + `      "why": "absent"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	if want := "{\n  \"p0\": 7\n}\n"; stdout != want {
		t.Errorf("got %q, want %q", stdout, want)
	}
	for _, want := range []string{
		"/channels/nixos-25.11/store-paths.xz count=10", "counting: 10/10", "1 absent, 1 malformed",
		"000003-p3-1: absent", "000005-p5-1: malformed: it", "names=1 referrers=8",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not in:\n%s", want, stderr)
		}
	}
}

// Some are named, and the others counted: it could be all of nixpkgs.
func TestCountWhereMostIsLost(t *testing.T) {
	faults := map[int]http.HandlerFunc{}
	for i := range 30 {
		faults[i] = http.NotFound
	}
	output := filepath.Join(t.TempDir(), "table.json")
	stdout, stderr, err := executed(t.Context(), countArgs(channelServer(t, 40, faults), "--output", output)...)
	if err == nil || stdout != "" || !strings.Contains(err.Error(), "of 40 store paths 30 absent") {
		t.Errorf("%q, %v", stdout, err)
	}
	if n := strings.Count(stderr, ": absent"); n != mostTold || !strings.Contains(stderr, "and 10 more") {
		t.Errorf("%d are named in:\n%s", n, stderr)
	}
	if files, _ := os.ReadDir(filepath.Dir(output)); len(files) > 0 {
		t.Errorf("files were left: %v", files)
	}
}

func TestCountIsInterruptedAndGoesOn(t *testing.T) {
	directory := t.TempDir()
	state, output := filepath.Join(directory, "state"), filepath.Join(directory, "table.json.gz")
	ctx, cancel := context.WithCancel(t.Context())
	var asked atomic.Int32
	s := channelServer(t, 50, map[int]http.HandlerFunc{25: func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			cancel()
			<-r.Context().Done()
		}
		http.NotFound(w, r)
	}})
	args := countArgs(s, "--state", state, "--output", output, "--jobs", "2")
	_, _, err := executed(ctx, args...)
	if !errors.Is(err, context.Canceled) || !strings.HasSuffix(err.Error(), "the same command goes on from "+state) {
		t.Errorf("got %v", err)
	}
	kept, err := os.ReadFile(state)
	if err != nil || bytes.Count(kept, []byte("\n")) < 20 {
		t.Errorf("the state is %q, %v", kept, err)
	}
	if _, err := os.Stat(output); err == nil {
		t.Error("half a table was written")
	}
	if _, stderr, err := executed(t.Context(), args...); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("the state is still there")
	}
	whole := filepath.Join(directory, "whole.json.gz")
	if _, _, err := executed(t.Context(), countArgs(s, "--output", whole)...); err != nil {
		t.Fatal(err)
	}
	one, _ := os.ReadFile(output)
	other, _ := os.ReadFile(whole)
	if !bytes.Equal(one, other) || !bytes.HasPrefix(one, []byte{0x1f, 0x8b}) {
		t.Errorf("%d bytes after an interruption, %d without", len(one), len(other))
	}
}

func TestChannelsHaveTheirKey(t *testing.T) {
	o := countOptions{channel: "nixos-25.11", jobs: 1, least: 1}
	if err := o.complete(); err != nil || o.cache != channelCache || len(o.keys) != 1 || o.keys[0] != channelKey {
		t.Errorf("%+v, %v", o, err)
	}
	o = countOptions{channel: "nixos-25.11", cache: "http://127.0.0.1", jobs: 1, least: 1}
	if err := o.complete(); err != nil || o.cache != "http://127.0.0.1" || len(o.keys) != 0 {
		t.Errorf("%+v, %v", o, err)
	}
}
