package nixbuild

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// journalOf reads recorded events as Exec does, and returns the lines and all reports.
func journalOf(text string) (lines []string, all []Progress) {
	j := newJournal(func(line string) { lines = append(lines, line) }, func(p Progress) { all = append(all, p) })
	for line := range strings.Lines(text) {
		j.read(strings.TrimSuffix(line, "\n"))
	}
	return lines, all
}

func TestJournalOfDownloads(t *testing.T) {
	for _, version := range versions {
		lines, all := journalOf(recorded(t, version, "fetch.journal"))
		last := all[len(all)-1]
		if want := (Progress{Fetched: 3, Fetch: 3, Bytes: 80456, AllBytes: 80456}); last != want {
			t.Errorf("%s: at the end %+v, want %+v", version, last, want)
		}
		half := slices.IndexFunc(all, func(p Progress) bool { return p.Bytes > 40_000 && p.Fetched < 3 })
		if half < 0 || all[half].Fetch != 3 || all[half].AllBytes != 80456 || !strings.HasPrefix(all[half].Doing, "downloading tiny-") {
			t.Errorf("%s: no report from the middle: %+v", version, all)
		}
		for i := 1; i < len(all); i++ {
			if all[i].AllBytes == all[i-1].AllBytes && all[i].Bytes < all[i-1].Bytes || all[i].Fetched < all[i-1].Fetched {
				t.Errorf("%s: goes back from %+v to %+v", version, all[i-1], all[i])
			}
		}
		if !slices.Contains(lines, "these 3 paths will be fetched (0.08 MiB download, 0.08 MiB unpacked):") ||
			!slices.ContainsFunc(lines, func(line string) bool {
				return strings.HasPrefix(line, "copying path '/nix/store/") && strings.HasSuffix(line, "tiny-big-1.0' from 'http://cache.example'...")
			}) || strings.Contains(strings.Join(lines, ""), "narinfo") {
			t.Errorf("%s: lines are\n%s", version, strings.Join(lines, "\n"))
		}
	}
}

// Two builds at once: the log that is told is that of the one that fails.
func TestJournalOfAFailingBuild(t *testing.T) {
	for _, version := range versions {
		lines, all := journalOf(recorded(t, version, "build-fails.journal"))
		if !slices.ContainsFunc(all, func(p Progress) bool { return p.Doing == "building tiny-bad-1.0" && p.Builds == 3 }) {
			t.Errorf("%s: never builds tiny-bad: %+v", version, all)
		}
		if !slices.Contains(lines, "good: 3") {
			t.Errorf("%s: lines are\n%s", version, strings.Join(lines, "\n"))
		}
		var build *BuildError
		if err := realiseWith(t, &ExitError{Program: "nix-build", Status: "exit status 1", Stderr: lines}); !errors.As(err, &build) {
			t.Fatalf("%s: error is %v", version, err)
		}
		if build.Derivation.Name() != "tiny-bad-1.0.drv" || build.Message != "its builder failed with exit code 3" {
			t.Errorf("%s: %+v", version, build)
		}
		if want := []string{"bad: begun", "bad: 1", "bad: 2", "bad: 3", "no such header: tiny.h"}; !slices.Equal(build.Log, want) {
			t.Errorf("%s: log is %q", version, build.Log)
		}
	}
}

// A package set is one download, of unknown size. Its URL may hold a password.
func TestJournalOfAPackageSet(t *testing.T) {
	_, all := journalOf(`@nix {"action":"start","id":1,"level":4,"text":"downloading 'https://u:hunter2@example.org/x?t=hunter2'","type":101,"fields":["https://u:hunter2@example.org/x?t=hunter2"]}
@nix {"action":"result","id":1,"type":105,"fields":[1000,0,0,0]}
@nix {"action":"result","id":1,"type":105,"fields":[3000,0,0,0]}
@nix {"action":"stop","id":1}`)
	want := []Progress{{Doing: "downloading from example.org"}, {Bytes: 1000, Doing: "downloading from example.org"}, {Bytes: 3000, Doing: "downloading from example.org"}, {Bytes: 3000}}
	if !slices.Equal(all, want) {
		t.Errorf("got %+v", all)
	}
}

func TestJournalOfStrangeLines(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                         "plain",
		"@nix no JSON":                  "@nix no JSON",
		"@nix {}":                       "",
		`@nix {"id":-1}`:                `@nix {"id":-1}`,
		`@nix {"action":"stop","id":7}`: "",
		`@nix {"action":"result","id":7,"type":101,"fields":["of none"]}`:                                          "",
		`@nix {"action":"start","id":7,"type":105,"level":3,"text":"building"}`:                                    "building...",
		`@nix {"action":"start","id":7,"type":100,"level":9,"text":"x","fields":[{"a":1}]}`:                        "",
		`@nix {"action":"result","id":7,"type":106,"fields":[100,-5]}`:                                             "",
		`@nix {"action":"result","id":7,"type":106,"fields":[100,"5"]}`:                                            "",
		`@nix {"action":"msg","msg":"\u001b[31;1merror:\u001b[0m two\nlines"}`:                                     "error: two\nlines",
		`@nix {"action":"msg","msg":"error: builder for '` + string(fakePath("a.drv")) + `' failed"}`:              "error: builder for '" + string(fakePath("a.drv")) + "' failed",
		`@nix {"action":"result","id":7,"type":106}` + "\n" + `@nix {"action":"result","id":18446744073709551615}`: "",
	} {
		lines, _ := journalOf(text)
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("%s gives %q, want %q", text, got, want)
		}
	}
}

// A builder may write events too, and must not fill the memory.
func TestJournalIsBounded(t *testing.T) {
	j := newJournal(func(string) {}, func(Progress) {})
	for i := range 2 * mostActivities {
		j.read(`@nix {"action":"start","id":` + strconv.Itoa(i) + `,"type":105,"level":9}`)
	}
	long := strings.Repeat("x", maxLine)
	for range 4 * shownLines {
		j.read(`@nix {"action":"result","id":0,"type":101,"fields":["` + long + `"]}`)
	}
	kept := 0
	for _, line := range j.running[0].log.kept {
		kept += len(line)
	}
	if len(j.running) > mostActivities || kept > 2*shownLines*longestLogLine {
		t.Errorf("%d activities, %d bytes of a log", len(j.running), kept)
	}
}

func TestExecReadsTheJournal(t *testing.T) {
	var heard []string
	var last Progress
	nix := Exec{Stderr: func(line string) { heard = append(heard, line) }, Moved: func(p Progress) { last = p }}
	script := `echo '@nix {"action":"result","type":106,"fields":[100,7]}' >&2; echo '@nix {"action":"msg","msg":"hello"}' >&2; exit 3`
	_, err := nix.Run(t.Context(), "sh", "-c", script, "--log-format", "internal-json")
	var exit *ExitError
	if !errors.As(err, &exit) || !slices.Equal(exit.Stderr, []string{"hello"}) || !slices.Equal(heard, exit.Stderr) || last.AllBytes != 7 {
		t.Errorf("error is %v, heard %q, progress %+v", err, heard, last)
	}
	nix.Stderr, nix.Moved = nil, nil
	if _, err := nix.Run(t.Context(), "sh", "-c", script, "--log-format", "internal-json"); !errors.As(err, &exit) {
		t.Errorf("error is %v", err)
	}
}
