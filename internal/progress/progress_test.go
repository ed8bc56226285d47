package progress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/nixery-action/internal/logline"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time       { return c.t }
func (c *clock) pass(d time.Duration) { c.t = c.t.Add(d) }

func columns(n int) func() int { return func() int { return n } }

func liveOn(t *testing.T, width, height int) (*Display, *screen, *clock) {
	s, c := newScreen(t, width, height), &clock{time.Unix(1000, 0)}
	return New(s, true, columns(width), c.now), s, c
}

func TestLive(t *testing.T) {
	d, s, c := liveOn(t, 60, 10)
	log := slog.New(logline.NewPlain(d.Writer(), slog.LevelInfo, false))

	build := d.Stage("building")
	s.expect("building")
	c.pass(2 * time.Second)
	build.Status("git-2.39")
	s.expect("building: 2s, git-2.39")

	push := d.Stage("pushing")
	push.Total(4, 2_000_000)
	log.Info("hello")
	s.expect("hello", "building: 2s, git-2.39", "pushing: 0/4, 0 B of 2.0 MB")

	c.pass(2 * time.Second)
	push.Add(1, 500_000)
	s.expect("hello", "building: 4s, git-2.39", "pushing: 1/4, 500.0 kB of 2.0 MB, 250.0 kB/s, 2s")

	build.Done("3 paths")
	s.expect("hello", "building: 3 paths (4s)", "pushing: 1/4, 500.0 kB of 2.0 MB, 250.0 kB/s, 2s")
	push.Done("")
	log.Info("bye")
	s.expect("hello", "building: 3 paths (4s)", "pushing: 1/4, 500.0 kB of 2.0 MB, 250.0 kB/s (2s)", "bye")
}

func TestLiveIsNotRedrawnTooOften(t *testing.T) {
	d, s, c := liveOn(t, 60, 10)
	stage := d.Stage("packing")
	before := s.writes
	for range 1000 {
		c.pass(time.Millisecond)
		stage.Add(1, 0)
	}
	if n := s.writes - before; n < 9 || n > 10 {
		t.Errorf("%d writes in a second", n)
	}
	c.pass(time.Second)
	d.Refresh()
	s.expect("packing: 1000, 2s")
}

func TestLiveFitsTheTerminal(t *testing.T) {
	d, s, c := liveOn(t, 20, 10)
	long := d.Stage("packing")
	c.pass(time.Second)
	long.Status(strings.Repeat("x", 100))
	s.expect("packing: 1s, xxxxx…")
	c.pass(time.Second)
	long.Status("two\r\nlines \x1b[2J")
	s.expect("packing: 2s, two l…")
	for i := range 9 {
		d.Stage(fmt.Sprint("s", i))
	}
	s.expect("packing: 2s, two l…", "s0", "s1", "s2", "s3", "s4", "s5", "and 3 more")
}

func TestCloseTakesTheFrameAway(t *testing.T) {
	d, s, _ := liveOn(t, 60, 10)
	stage := d.Stage("building")
	io.WriteString(d.Writer(), "half a li")
	s.expect("building")
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	stage.Add(1, 1)
	stage.Done("late")
	d.Refresh()
	io.WriteString(d.Writer(), "ne\nand one\n")
	s.expect("half a line", "and one")
}

// Whatever happens in whatever order, the screen holds every line of the log whole
// and in order, and below them the frame.
func TestLiveNeverGarbles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	d, s, c := liveOn(t, 30, 12)
	var want []string
	var running []*Stage
	for step := range 800 {
		switch n := random.IntN(10); {
		case n < 3:
			line := fmt.Sprint("log ", step)
			fmt.Fprintln(d.Writer(), line)
			want = append(want, line)
		case n < 6 && len(running) > 0:
			running[random.IntN(len(running))].Status(strings.Repeat("y", random.IntN(50)))
		case n < 8 && len(running) < 10:
			running = append(running, d.Stage("stage"))
		case n == 8 && len(running) > 0:
			i := random.IntN(len(running))
			running[i].Done("over")
			running = append(running[:i], running[i+1:]...)
		default:
			c.pass(30 * time.Millisecond)
			d.Refresh()
		}
		checkGarble(t, s, want, min(len(running), mostLines))
	}
}

func checkGarble(t *testing.T, s *screen, log []string, frame int) {
	t.Helper()
	lines := s.lines()
	above, below := lines[:len(lines)-frame], lines[len(lines)-frame:]
	var got []string
	for _, line := range above {
		if !strings.HasPrefix(line, "stage: over") {
			got = append(got, line)
		}
	}
	if strings.Join(got, "\n") != strings.Join(log, "\n") {
		t.Fatalf("log is garbled:\n%s", s)
	}
	for _, line := range below {
		if !strings.HasPrefix(line, "stage") && !strings.HasPrefix(line, "and ") {
			t.Fatalf("frame is garbled:\n%s", s)
		}
	}
}

func TestLines(t *testing.T) {
	var b bytes.Buffer
	c := &clock{time.Unix(1000, 0)}
	d := New(&b, false, nil, c.now)
	stage := d.Stage("pushing")
	stage.Total(600, 0)
	for range 12 {
		c.pass(time.Second)
		stage.Add(50, 1_000_000)
		d.Refresh()
	}
	c.pass(10 * time.Minute)
	d.Refresh()
	d.Refresh()
	fmt.Fprintln(d.Writer(), "a line of the log")
	stage.Done("12 layers")
	stage.Done("again")
	want := `pushing
pushing: 250/600, 5.0 MB, 1.0 MB/s, 5s
pushing: 500/600, 10.0 MB, 1.0 MB/s, 10s
pushing: 600/600, 12.0 MB, 19.6 kB/s, 10m12s
a line of the log
pushing: 12 layers (10m12s)
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestQuietStageSaysThatItIsAlive(t *testing.T) {
	var b bytes.Buffer
	c := &clock{time.Unix(1000, 0)}
	d := New(&b, false, nil, c.now)
	stage := d.Stage("building")
	for second := range 150 {
		c.pass(time.Second)
		d.Refresh()
		if second == 20 {
			stage.Status("git")
		}
	}
	if want := "building\nbuilding: 21s, git\nbuilding: 1m21s, git\nbuilding: 2m21s, git\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB",
		1_500_000_000: "1.5 GB", 1 << 62: "4.6 EB",
	} {
		if got := Size(bytes); got != want {
			t.Errorf("Size(%d) = %q, want %q", bytes, got, want)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	d := New(io.Discard, true, columns(80), time.Now)
	d.stop = every(time.Microsecond, d.Refresh)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			s := d.Stage(fmt.Sprint(i))
			for range 100 {
				s.Total(100, 100)
				s.Add(1, 1)
				s.Status("x")
				fmt.Fprintln(d.Writer(), "log")
			}
			s.Done("")
		})
	}
	all.Wait()
	d.Close()
	d.Close()
}

var errGone = errors.New("gone")

type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, errGone }

func TestOnlyTheLogReportsWriteErrors(t *testing.T) {
	d := New(gone{}, true, columns(80), time.Now)
	d.Stage("a").Done("")
	if _, err := io.WriteString(d.Writer(), "line\n"); !errors.Is(err, errGone) {
		t.Errorf("got error %v", err)
	}
}
