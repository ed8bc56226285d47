package popularity

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	for full, want := range map[string]string{
		"glibc-2.39-52":             "glibc",
		"glibc":                     "glibc",
		"bash-interactive-5.2p26":   "bash-interactive",
		"python3.12-requests-2.31":  "python3.12-requests",
		"libc6-2.36-9-deb12u14":     "libc6",
		"nss-cacert-3.98":           "nss-cacert",
		"gcc-13.2.0-lib":            "gcc",
		"X-Restart-Triggers-dbus":   "X-Restart-Triggers-dbus",
		"trailing-":                 "trailing",
		"unit-script-foo-start":     "unit-script-foo-start",
		"source":                    "source",
		"ncurses-base-6.4-20221231": "ncurses-base",
	} {
		if got := Name(full); got != want {
			t.Errorf("Name(%q) = %q, want %q", full, got, want)
		}
		if again := Name(Name(full)); again != want {
			t.Errorf("Name is not idempotent on %q: %q", full, again)
		}
	}
}

func TestReadDropsVersionsAndKeepsTheLargestCount(t *testing.T) {
	counts, err := Read(strings.NewReader(`{"glibc-2.38": 7, "glibc-2.39": 40, "glibc": 12, "zlib": 3}`))
	if err != nil {
		t.Fatal(err)
	}
	if counts.Of("glibc-2.40-1") != 40 || counts.Of("zlib-1.3") != 3 || counts.Of("unknown-1") != 0 {
		t.Errorf("got %v", counts)
	}
}

func TestReadRefuses(t *testing.T) {
	for input, want := range map[string]string{
		``:              "one JSON object",
		`[]`:            "one JSON object",
		`{"a": "many"}`: "one JSON object",
		`{"a": 1.5}`:    "one JSON object",
		`{"a": -1}`:     "negative",
		`{"a": 1} {}`:   "one JSON object",
	} {
		if _, err := Read(strings.NewReader(input)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%q): got %v, want an error with %q", input, err, want)
		}
	}
}

// A table that is refreshed has other numbers, but is not another kind of thing.
func TestEmbeddedTableKnowsGlibc(t *testing.T) {
	counts := Embedded()
	glibc := counts.Of("glibc-2.39-52")
	if glibc < 1000 || len(counts) < 800 {
		t.Errorf("%d names, glibc counts %d", len(counts), glibc)
	}
	for name, n := range counts {
		if n > glibc || Name(name) != name {
			t.Errorf("%s counts %d, and glibc %d", name, n, glibc)
		}
	}
}
