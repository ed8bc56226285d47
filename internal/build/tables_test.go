package build

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/spec"
)

func orderWith(name, table string) Target {
	return Target{Image: spec.Image{Name: name, Layers: spec.Layers{Popularity: table}}}
}

func TestTablesAreLoadedOnceAndLogged(t *testing.T) {
	requests := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		fmt.Fprint(w, `{"glibc": 7}`)
	}))
	defer s.Close()
	var log strings.Builder
	l := &Builder{Log: slog.New(slog.NewTextHandler(&log, nil))}
	targets := []Target{orderWith("a", s.URL+"/t?token=hunter2"), orderWith("b", "none"), orderWith("c", s.URL+"/t?token=hunter2"), orderWith("d", "embedded")}
	tables, err := l.Tables(t.Context(), targets)
	if err != nil {
		t.Fatal(err)
	}
	sum := popularity.Counts{"glibc": 7}.SHA256()
	for i, want := range []string{s.URL + "/t " + sum + " 7", "none  0", s.URL + "/t " + sum + " 7", fmt.Sprint("embedded ", popularity.Embedded().SHA256(), " ", popularity.Embedded()["glibc"])} {
		if got := fmt.Sprint(tables[i].Source, " ", tables[i].SHA256, " ", tables[i].Counts.Of("glibc-2.39")); got != want {
			t.Errorf("%d: got %s, want %s", i, got, want)
		}
	}
	if requests != 1 {
		t.Errorf("%d requests", requests)
	}
	if !strings.Contains(log.String(), "source="+s.URL+"/t sha256="+sum) || strings.Contains(log.String(), "hunter2") {
		t.Errorf("the log is %s", log.String())
	}
	s.Close()
	if _, err := l.Tables(t.Context(), []Target{orderWith("a", t.TempDir()+"/table.json")}); err == nil || !strings.HasPrefix(err.Error(), "image a: popularity table ") {
		t.Errorf("got %v", err)
	}
}
