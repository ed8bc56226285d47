package nixbuild

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/nix"
)

// journalFormat makes Nix write what it does as a line of JSON for each event, in place of lines for
// people. All versions since 2.4 write the same (src/libutil/logging.cc and .hh of https://github.com/NixOS/nix).
var journalFormat = []string{"--log-format", "internal-json"}

const journalPrefix = "@nix "

// Kinds of activities and of their results, from logging.hh.
const (
	copyingPath  = 100
	transferring = 101
	copyingPaths = 103
	buildingAll  = 104
	buildingOne  = 105

	resultLogLine  = 101
	resultProgress = 105
	resultExpected = 106
)

// What Nix shows by default, from error.hh.
const usualLevel = 3

// mostActivities is how many activities are followed at a time. Nix runs as many as it has jobs and
// connections; builders can claim more.
const mostActivities = 1000

// longestLogLine is how much of a line of a build's log an error repeats, in bytes.
const longestLogLine = 2000

// activity is one thing that Nix is at.
type activity struct {
	id    uint64
	kind  int
	doing string        // for people; empty for what only counts
	minor bool          // doing is told only if nothing else is under way
	drv   nix.StorePath // of a build
	log   *tail         // of a build
	bytes int64         // of a copy or transfer
}

// journal turns events into the lines that Nix writes otherwise, and into progress. A line that is no
// event is passed on as it is. It is not for concurrent use.
type journal struct {
	line  func(string)
	moved func(Progress)

	all     Progress      // but for bytes
	ended   map[int]int64 // bytes of activities that have ended, by kind
	expects map[int]int64 // bytes of all, by kind
	running []*activity   // oldest first
}

func newJournal(line func(string), moved func(Progress)) *journal {
	return &journal{line: line, moved: moved, ended: map[int]int64{}, expects: map[int]int64{}}
}

func (j *journal) read(line string) {
	text, ok := strings.CutPrefix(line, journalPrefix)
	var e event
	if !ok || json.Unmarshal([]byte(text), &e) != nil {
		j.line(line)
		return
	}
	switch e.Action {
	case "msg":
		j.message(logline.Clean(e.Msg))
	case "start":
		j.start(e)
	case "stop":
		j.stop(e.ID)
	case "result":
		j.result(e)
	}
}

// message passes a text on. What a failed build said last is repeated below its error, as a daemon does
// it: among the lines before, those of builds at the same time are mixed.
func (j *journal) message(text string) {
	for line := range strings.Lines(text) {
		j.line(strings.TrimSuffix(line, "\n"))
	}
	m := blame.FindStringSubmatch(text)
	if m == nil || strings.Contains(text, "\n       > ") {
		return
	}
	for _, a := range j.running {
		if a.log != nil && string(a.drv) == m[2] {
			for _, line := range a.log.lines() {
				j.line("       > " + line)
			}
		}
	}
}

func (j *journal) start(e event) {
	if e.Level <= usualLevel && e.Text != "" {
		j.line(logline.Clean(e.Text) + "...")
	}
	a := &activity{id: e.ID, kind: e.Type}
	switch e.Type {
	case copyingPath:
		a.doing = "downloading " + e.name()
	case buildingOne:
		a.doing, a.drv, a.log = "building "+strings.TrimSuffix(e.name(), ".drv"), nix.StorePath(e.text()), &tail{limit: shownLines}
	case transferring:
		a.doing, a.minor = "downloading from "+e.host(), true
	case copyingPaths, buildingAll:
	default:
		return
	}
	if len(j.running) < mostActivities && j.find(e.ID) < 0 {
		j.running = append(j.running, a)
		j.tell()
	}
}

func (j *journal) stop(id uint64) {
	i := j.find(id)
	if i < 0 {
		return
	}
	j.ended[j.running[i].kind] += j.running[i].bytes
	j.running = slices.Delete(j.running, i, i+1)
	j.tell()
}

func (j *journal) result(e event) {
	if kind := e.number(0); e.Type == resultExpected && (kind == copyingPath || kind == transferring) {
		j.expects[int(kind)] = e.number(1)
		j.tell()
		return
	}
	i := j.find(e.ID)
	if i < 0 {
		return
	}
	a := j.running[i]
	switch {
	case e.Type == resultLogLine && a.log != nil:
		line := logline.Clean(e.text())
		a.log.add(line[:min(len(line), longestLogLine)])
		j.line(line)
		return
	case e.Type == resultProgress && (a.kind == copyingPath || a.kind == transferring):
		a.bytes = e.number(0)
	case e.Type == resultProgress && a.kind == copyingPaths:
		j.all.Fetched, j.all.Fetch = int(e.number(0)), int(e.number(1))
	case e.Type == resultProgress && a.kind == buildingAll:
		j.all.Built, j.all.Builds = int(e.number(0)), int(e.number(1))
	}
	j.tell()
}

func (j *journal) find(id uint64) int {
	return slices.IndexFunc(j.running, func(a *activity) bool { return a.id == id })
}

// tell reports all that is known now.
func (j *journal) tell() {
	p := j.all
	major := false
	for _, a := range j.running {
		if a.doing != "" && (!a.minor || !major) {
			p.Doing, major = a.doing, !a.minor
		}
	}
	p.Bytes, p.AllBytes = j.bytes(transferring)
	if p.Bytes == 0 { // no network is needed for a cache in a directory
		p.Bytes, p.AllBytes = j.bytes(copyingPath)
	}
	j.moved(p)
}

// bytes are those that were moved, and all that will be, or 0 if Nix does not foretell them: that it does for store
// paths, but neither for what it asks about them nor for a package set.
func (j *journal) bytes(kind int) (moved, all int64) {
	moved, all = j.ended[kind], j.expects[kind]
	for _, a := range j.running {
		if a.kind == kind {
			moved += a.bytes
		}
	}
	if all > 0 {
		moved = min(moved, all)
	}
	return moved, all
}
