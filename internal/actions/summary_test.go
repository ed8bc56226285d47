package actions

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAppendSummary(t *testing.T) {
	file := filepath.Join(t.TempDir(), "summary")
	for _, text := range []string{"one\n", "two\n"} {
		if err := AppendSummary(file, text); err != nil {
			t.Fatal(err)
		}
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "one\ntwo\n" {
		t.Errorf("%q, %v", data, err)
	}
	if err := AppendSummary(filepath.Join(file, "x"), ""); err == nil || !strings.HasPrefix(err.Error(), "writing the step's summary: ") {
		t.Errorf("got %v", err)
	}
}

func TestPullRequest(t *testing.T) {
	for text, want := range map[string]int{
		`{"number": 7, "pull_request": {"number": 7}}`:           7,
		`{"action": "submitted", "pull_request": {"number": 9}}`: 9,
		`{"number": 7}`:                           0,
		`{"issue": {"number": 3}}`:                0,
		`{"pull_request": {"number": -1}}`:        0,
		`{"ref": "refs/heads/main", "after": ""}`: 0,
	} {
		file := filepath.Join(t.TempDir(), "event.json")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := PullRequest(file); got != want || (want == 0) != errors.Is(err, ErrNoPullRequest) {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	if _, err := PullRequest(""); !errors.Is(err, ErrNoPullRequest) {
		t.Errorf("without an event: %v", err)
	}
	if _, err := PullRequest(t.TempDir()); err == nil || errors.Is(err, ErrNoPullRequest) {
		t.Errorf("a directory: %v", err)
	}
}
