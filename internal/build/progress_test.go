package build

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/progress"
)

func TestFarText(t *testing.T) {
	for want, p := range map[string]nixbuild.Progress{
		"": {},
		"12/40 downloaded, 31.0 MB of 120.0 MB, downloading openssl-3.0.15": {Fetched: 12, Fetch: 40, Bytes: 31e6, AllBytes: 120e6, Doing: "downloading openssl-3.0.15"},
		"21.5 MB, downloading from github.com":                              {Bytes: 21.5e6, Doing: "downloading from github.com"},
		"1/2 built, building a":                                             {Built: 1, Builds: 2, Doing: "building a"},
	} {
		if got := farText(p); got != want {
			t.Errorf("%+v is %q, want %q", p, got, want)
		}
	}
}

// Progress stands in the stage's line, in place of the lines of builders; the next stage starts without it.
func TestFollow(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(1000, 0)
	l := &Builder{Log: slog.New(slog.DiscardHandler), Display: progress.New(&b, false, nil, func() time.Time { return now })}
	pass := func() {
		now = now.Add(5 * time.Second)
		l.Display.Refresh()
	}
	first := l.begin("realising")
	l.NixLine("these paths will be fetched")
	pass()
	l.NixProgress(nixbuild.Progress{})
	l.NixProgress(nixbuild.Progress{Fetched: 1, Fetch: 2, Bytes: 1e6, AllBytes: 2e6})
	l.NixLine("a line of a builder")
	pass()
	l.NixProgress(nixbuild.Progress{Fetched: 2, Fetch: 2, Bytes: 2e6, AllBytes: 2e6, Built: 1})
	first.Done(l.realised(3))
	second := l.begin("reading")
	l.NixLine("a line of another program")
	pass()
	second.Done(l.realised(3))
	want := `realising
realising: 5s, these paths will be fetched
realising: 10s, 1/2 downloaded, 1.0 MB of 2.0 MB
realising: 3 packages, 2 store paths downloaded, 2.0 MB, 1 built (10s)
reading
reading: 5s, a line of another program
reading: 3 packages (5s)
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", strings.TrimSpace(b.String()), want)
	}
}
