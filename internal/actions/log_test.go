package actions

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/logline"
)

func atOnce(write func() error) error { return write() }

func TestHandler(t *testing.T) {
	for _, tc := range []struct {
		name string
		log  func(*slog.Logger)
		want string
	}{
		{"info", func(l *slog.Logger) { l.Info("pushed", "layers", 3) }, "pushed layers=3\n"},
		{"debug", func(l *slog.Logger) { l.Debug("why", "a", "b") }, "::debug::why a=b\n"},
		{"warning", func(l *slog.Logger) { l.Warn("slow") }, "::warning::slow\n"},
		{"notice", func(l *slog.Logger) { l.Log(t.Context(), logline.Notice, "so it is") }, "::notice::so it is\n"},
		{"error with place", func(l *slog.Logger) {
			l.Error("unknown key", "file", "a,b:c.yaml", "line", 3, "col", 7, "title", "Spec", "near", "tags")
		}, "::error col=7,file=a%2Cb%3Ac.yaml,line=3,title=Spec::unknown key near=tags\n"},
		{"escaping", func(l *slog.Logger) { l.Error("100%\nof: it, all") }, "::error::100%25%0Aof: it, all\n"},
		{"command in info", func(l *slog.Logger) { l.Info("x\n \t::error::evil\n:: y") }, "x\n \t: :error::evil\n: : y\n"},
		{"older command", func(l *slog.Logger) { l.Info("x ##[error]evil") }, "x ## [error]evil\n"},
		{"command in property", func(l *slog.Logger) { l.Error("m", "file", "a\n::error::b") }, "::error file=a %3A%3Aerror%3A%3Ab::m\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b bytes.Buffer
			tc.log(slog.New(NewHandler(&b, slog.LevelDebug, atOnce)))
			if b.String() != tc.want {
				t.Errorf("got  %q\nwant %q", b.String(), tc.want)
			}
		})
	}
}

func TestHandlerCountsAnnotations(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(NewHandler(&b, slog.LevelInfo, atOnce))
	var want strings.Builder
	for i := range 12 {
		log.With("k", "v").Error(fmt.Sprint("e", i), "file", "f", "line", i+1)
		log.Warn("##[w]")
		if i < 10 {
			fmt.Fprintf(&want, "::error file=f,line=%d::e%d k=v\n::warning::##[w]\n", i+1, i)
		} else {
			fmt.Fprintf(&want, "error: f:%d: e%d k=v\nwarning: ## [w]\n", i+1, i)
		}
	}
	if b.String() != want.String() {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want.String())
	}
}

func TestHandlerKeepsLongMessagesWhole(t *testing.T) {
	var b bytes.Buffer
	long := strings.Repeat("é", longestAnnotation)
	slog.New(NewHandler(&b, slog.LevelInfo, atOnce)).Error(long)
	whole, annotation, _ := strings.Cut(b.String(), "\n")
	if whole != "error: "+long {
		t.Errorf("the whole message is not there: %.40q…", whole)
	}
	text, ok := strings.CutPrefix(annotation, "::error::")
	if text = strings.TrimSuffix(text, "…\n"); !ok || !strings.HasPrefix(long, text) || len(text) < longestAnnotation-5 {
		t.Errorf("the annotation is %.40q…", annotation)
	}
}

func TestAnnotationsAreCutBetweenWords(t *testing.T) {
	var b bytes.Buffer
	slog.New(NewHandler(&b, slog.LevelInfo, atOnce)).Error(strings.Repeat("word ", longestAnnotation/5) + "a-token")
	if _, annotation, _ := strings.Cut(b.String(), "\n"); !strings.HasSuffix(annotation, "word word…\n") {
		t.Errorf("it ends with %q", annotation[len(annotation)-20:])
	}
}

func TestCommands(t *testing.T) {
	var b bytes.Buffer
	err := errors.Join(
		StartGroup(&b, "Building 50%\nx"), EndGroup(&b),
		Mask(&b, "one\ntwo"), Mask(&b, ""), Mask(&b, " \n"))
	want := "::group::Building 50%25%0Ax\n::endgroup::\n::add-mask::one%0Atwo\n"
	if err != nil || b.String() != want {
		t.Errorf("got %q, %v, want %q", b.String(), err, want)
	}
}

func TestPlainWriterHidesCommands(t *testing.T) {
	const text = "::error::a\n\u00a0\u2003\x0b::set-output name=x::y\nfine :: here\nx\r::error::b\nmid ##[group]g\na::b\n:::\n"
	const want = ": :error::a\n\u00a0\u2003\x0b: :set-output name=x::y\nfine :: here\nx\r: :error::b\nmid ## [group]g\na::b\n: ::\n"
	for cut := range len(text) {
		var b bytes.Buffer
		w := NewPlainWriter(&b)
		for _, part := range []string{text[:cut], text[cut:]} {
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatalf("Write gave %d, %v", n, err)
			}
		}
		if b.String() != want {
			t.Fatalf("cut at %d:\ngot  %q\nwant %q", cut, b.String(), want)
		}
	}
}

func TestErrorsAndWarningsAreWrittenAside(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(NewHandler(&b, slog.LevelDebug, func(write func() error) error {
		b.WriteString("(")
		defer b.WriteString(")")
		return write()
	}))
	log.Debug("d")
	log.Info("i")
	log.Warn("w")
	log.Error("e")
	if want := "::debug::d\ni\n(::warning::w\n)(::error::e\n)"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
