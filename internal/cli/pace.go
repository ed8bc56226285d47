package cli

import (
	"fmt"
	"time"
)

// pace says how fast a count goes and how long it will take. What was done when
// it first heard of anything, such as the work of an earlier run, does not
// make it look faster.
type pace struct {
	now         func() time.Time
	total, done int
	start       time.Time
	before      int // done at the start
}

func newPace(total int) *pace { return &pace{now: time.Now, total: total} }

// after takes n more as done. Its text is empty until there is something to say.
func (p *pace) after(n int) string {
	p.done += n
	if p.start.IsZero() {
		p.start, p.before = p.now(), p.done
	}
	took := p.now().Sub(p.start).Seconds()
	fresh := p.done - p.before
	if took < 1 || fresh == 0 {
		return ""
	}
	rate := float64(fresh) / took
	left := time.Duration(float64(p.total-p.done)/rate) * time.Second
	return fmt.Sprintf("%.0f/s, %s left", rate, left)
}
