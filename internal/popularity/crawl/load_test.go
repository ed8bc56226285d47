package crawl

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/nixery-action/internal/fetch"
	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/retry"
)

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sumOf(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

func TestLoad(t *testing.T) {
	const text = `{"zlib-1.3": 3, "glibc": 7}`
	want := popularity.Counts{"zlib": 3, "glibc": 7}
	for _, data := range [][]byte{[]byte(text), zipped(t, text)} {
		file := filepath.Join(t.TempDir(), "table")
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		s := serve(t, data)
		for where, source := range map[string]string{file: file, s.URL + "/channel?token=hunter2": s.URL + "/channel"} {
			for _, sum := range []string{"", sumOf(data), strings.ToUpper(sumOf(data))} {
				got, err := Load(t.Context(), where, sum)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(popularity.Table{Source: source, SHA256: want.SHA256(), Counts: want}, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
			if _, err := Load(t.Context(), where, sumOf(nil)); err == nil || !strings.Contains(err.Error(), "its SHA-256 is "+sumOf(data)) {
				t.Errorf("got %v", err)
			}
		}
	}
}

// A server that calls a gzipped file an encoding does not change its digest.
func TestLoadPinnedWithContentEncoding(t *testing.T) {
	data := zipped(t, `{"glibc": 7}`)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(data)
	}))
	defer s.Close()
	table, err := Load(t.Context(), s.URL, sumOf(data))
	if err != nil || table.Counts["glibc"] != 7 {
		t.Errorf("got %v, %v", table, err)
	}
}

func TestLoadWithoutAFile(t *testing.T) {
	none, err := Load(t.Context(), "none", "")
	if err != nil || !cmp.Equal(none, popularity.Table{Source: "none"}) {
		t.Errorf("got %v, %v", none, err)
	}
	embedded, err := Load(t.Context(), "embedded", "")
	if err != nil || embedded.Source != "embedded" || embedded.SHA256 != popularity.Embedded().SHA256() || len(embedded.Counts) != len(popularity.Embedded()) {
		t.Errorf("got %d counts from %s, %v", len(embedded.Counts), embedded.Source, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	s := serve(t, []byte("<html>"))
	for where, want := range map[string]string{
		t.TempDir() + "/not-there":         "no such file",
		s.URL + "/x?token=hunter2":         "popularity table " + s.URL + "/x: want one JSON object",
		"http://example.org/x?hunter2":     "want https",
		"ftp://example.org/hunter2":        "want an http or https URL",
		newFakeCache(t).URL + "/t?hunter2": "/t: fetching it: the server answered 404 Not Found; to build without it",
	} {
		_, err := Load(t.Context(), where, "")
		if _, ok := errors.AsType[*popularity.TableError](err); !ok {
			t.Errorf("%T", err)
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	half := zipped(t, `{"glibc": 7}`)[:20]
	if _, err := popularity.Decode(half, ""); err == nil {
		t.Error("half a file was read")
	}
}

func TestLoadTriesAgain(t *testing.T) {
	f := newFakeCache(t)
	f.narinfos["/table.json"] = `{"glibc": 7}`
	p := path("table")
	f.narinfos[address(p)] = `{"glibc": 7}`
	f.faults[p] = status(500, http.StatusTooManyRequests)
	w := fetch.New(fetch.Options{Retry: retry.Policy{First: time.Microsecond}})
	table, err := loadURL(t.Context(), w, f.URL+address(p), "")
	if err != nil || table.Counts["glibc"] != 7 || f.asked(p) != 3 {
		t.Errorf("got %v, %v after %d requests", table, err, f.asked(p))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := loadURL(ctx, w, f.URL+address(p), ""); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("got %v", err)
	}
}
