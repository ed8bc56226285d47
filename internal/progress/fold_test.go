package progress

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

func folding() (*Display, *bytes.Buffer, *clock) {
	var b bytes.Buffer
	c := &clock{time.Unix(1000, 0)}
	d := New(&b, false, nil, c.now)
	d.Fold(Fold{
		Begin: func(title string) { fmt.Fprintln(&b, "[", title) },
		End:   func() { fmt.Fprintln(&b, "]") },
	})
	return d, &b, c
}

func expectLog(t *testing.T, b *bytes.Buffer, want string) {
	t.Helper()
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b, want)
	}
}

func TestFoldedStagesLeaveTheirLastLine(t *testing.T) {
	d, b, c := folding()
	d.Stage("quick").Done("done at once")
	stage := d.Stage("slow")
	c.pass(time.Second)
	d.Refresh()
	c.pass(5 * time.Second)
	stage.Add(1, 0)
	stage.Done("1 package")
	busy := d.Stage("busy")
	busy.Total(2, 0)
	busy.Done("2")
	expectLog(t, b, "quick: done at once\n[ slow\nslow: 1, 6s\n]\nslow: 1 package (6s)\n[ busy\nbusy: 0/2\n]\nbusy: 2\n")
}

func TestFoldsDoNotNest(t *testing.T) {
	d, b, c := folding()
	outer := d.Stage("outer")
	c.pass(2 * time.Second)
	d.Refresh()
	inner := d.Stage("inner")
	c.pass(2 * time.Second)
	d.Refresh()
	inner.Done("over")
	c.pass(10 * time.Second)
	outer.Status("going on")
	c.pass(10 * time.Second)
	outer.Done("over")
	expectLog(t, b, `[ outer
inner
]
inner: over (2s)
[ outer
outer: 14s, going on
]
outer: over (24s)
`)
}

// An error in a folded group would not be seen.
func TestAsideIsNotFolded(t *testing.T) {
	d, b, c := folding()
	d.Stage("building")
	warn := func() error { _, err := fmt.Fprintln(b, "warning"); return err }
	for range 2 {
		c.pass(time.Minute)
		d.Refresh()
		if err := d.Aside(warn); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Aside(func() error { return errGone }); err != errGone {
		t.Errorf("error is %v", err)
	}
	expectLog(t, b, "[ building\n]\nwarning\n[ building\n]\nwarning\n")
}

// A run that fails ends no stage, and no group stays open.
func TestCloseEndsTheGroup(t *testing.T) {
	d, b, c := folding()
	stage := d.Stage("building")
	c.pass(time.Minute)
	d.Refresh()
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.pass(time.Hour)
	stage.Status("news")
	d.Refresh()
	stage.Done("late")
	expectLog(t, b, "[ building\n]\n")
}

func TestLiveDisplaysDoNotFold(t *testing.T) {
	d, s, c := liveOn(t, 60, 10)
	d.Fold(Fold{Begin: func(string) { t.Error("a group") }, End: func() { t.Error("the end of a group") }})
	stage := d.Stage("building")
	c.pass(time.Minute)
	d.Refresh()
	stage.Done("all")
	s.expect("building: all (1m0s)")
}

// A log is read by people: ten minutes of a busy stage are no more than a page.
func TestLongStagesDoNotFlood(t *testing.T) {
	var b bytes.Buffer
	c := &clock{time.Unix(1000, 0)}
	d := New(&b, false, nil, c.now)
	stage := d.Stage("publishing")
	for range 6000 {
		c.pass(100 * time.Millisecond)
		stage.Add(0, 1_000_000)
		d.Refresh()
	}
	if n := bytes.Count(b.Bytes(), []byte("\n")); n < 30 || n > 40 {
		t.Errorf("%d lines in ten minutes:\n%s", n, &b)
	}
}

func TestMute(t *testing.T) {
	d, b, c := folding()
	d.Mute()
	stage := d.Stage("building")
	c.pass(time.Minute)
	stage.Status("news")
	d.Refresh()
	fmt.Fprintln(d.Writer(), "a line of the log")
	stage.Done("all")
	expectLog(t, b, "a line of the log\n")
}
