package nixbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/bounded/boundedtest"
	"github.com/org/nixery-action/internal/nix"
)

// mostMemory is what refusing any closure may allocate in all: the decoder holds one entry, which may be a long text.
const mostMemory = 5 * nix.MaxClosureJSON

func TestClosureBombs(t *testing.T) {
	app := string(fakePath("app"))
	for title, c := range map[string]struct {
		file []byte
		most uint64
	}{
		"one path often":    {boundedtest.Gzip(t, `[`, fmt.Sprintf(`{"path":%q},`, app), 1<<20, `{}]`), 1 << 20},
		"empty values":      {boundedtest.Gzip(t, `[`, `{},`, 1<<22, `{}]`), 1 << 20},
		"nested":            {boundedtest.Gzip(t, `[`, `[`, 1<<22, ``), 1 << 20},
		"references":        {boundedtest.Gzip(t, fmt.Sprintf(`[{"path":%q,"references":[`, app), `"",`, 1<<22, `""]}]`), 256 << 20},
		"blanks":            {boundedtest.Gzip(t, `[`, ` `, nix.MaxClosureJSON, `]`), mostMemory},
		"envelopes":         {boundedtest.Gzip(t, `{`, `"info":{},`, 1<<22, `"info":{}}`), 64 << 20},
		"a long other text": {boundedtest.Gzip(t, `{"version":"`, `x`, 8<<20, `"}`), 64 << 20},
	} {
		t.Run(title, func(t *testing.T) {
			boundedtest.Within(t, c.most, func() {
				if closure, err := nix.ReadClosure(t.Context(), bytes.NewReader(c.file)); err == nil {
					t.Errorf("it has %d paths", len(closure.Paths))
				}
			})
		})
	}
}

// Too many paths are an error before they are planned, wherever they come from.
func TestMostPaths(t *testing.T) {
	infos := make([]nix.PathInfo, nix.MaxPaths+1)
	for i := range infos {
		infos[i].Path = nix.StorePath(fmt.Sprintf("%s/%032d-a", nix.StoreDir, i))
	}
	for i := range infos[1:] {
		infos[0].References = append(infos[0].References, infos[i+1].Path)
	}
	if _, err := nix.NewClosure([]nix.StorePath{infos[0].Path}, infos); err == nil || !strings.Contains(err.Error(), "more than 32768 paths") {
		t.Errorf("got %v", err)
	}
	infos[0].References = infos[0].References[1:]
	if c, err := nix.NewClosure([]nix.StorePath{infos[0].Path}, infos); err != nil || len(c.Paths) != nix.MaxPaths {
		t.Errorf("%d paths: %v", len(c.Paths), err)
	}
}

func TestReadClosureEndsWithItsContext(t *testing.T) {
	file := boundedtest.Gzip(t, `[`, ` `, 1<<24, `]`)
	ctx := boundedtest.EndingAfter(t.Context(), 20)
	if _, err := nix.ReadClosure(ctx, bytes.NewReader(file)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// What nix-store prints is read line by line: lines without content cost nothing.
func TestRegistrationBomb(t *testing.T) {
	text := bytes.Repeat([]byte("\n"), 16<<20)
	boundedtest.Within(t, 64<<20, func() {
		if _, err := parseRegistration(text); err == nil {
			t.Error("no error")
		}
	})
}

func FuzzRegistration(f *testing.F) {
	f.Add([]byte(string(fakePath("app")) + "\n" + strings.Repeat("0", 64) + "\n7\n\n1\n" + string(fakePath("lib")) + "\n"))
	f.Add([]byte("\n\n\n\n9999999999\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		boundedtest.Within(t, uint64(1<<16+64*len(text)), func() { _, _ = parseRegistration(text) })
	})
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(`@nix {"action":"start","id":1,"type":105,"fields":["/nix/store/x"]}` + "\n" + `@nix {"action":"stop","id":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		j := newJournal(func(string) {}, func(Progress) {})
		boundedtest.Within(t, uint64(1<<16+256*len(text)), func() {
			w := lineWriter{limit: maxLine, emit: j.read}
			_, _ = w.Write(text)
			w.flush()
		})
		if len(j.running) > mostActivities {
			t.Errorf("%d activities are held", len(j.running))
		}
	})
}
