package cli

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	now := time.Unix(1000, 0)
	p := newPace(1000)
	p.now = func() time.Time { return now }
	for _, step := range []struct {
		wait time.Duration
		done int
		want string
	}{
		{0, 400, ""}, // an earlier run's
		{time.Second / 2, 5, ""},
		{time.Second / 2, 5, "10/s, 59s left"},
		{3 * time.Second, 50, "15/s, 36s left"},
		{time.Minute, 0, "1/s, 9m36s left"},
		{0, 540, "9/s, 0s left"},
	} {
		now = now.Add(step.wait)
		if got := p.after(step.done); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
}
