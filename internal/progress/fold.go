package progress

import "time"

// foldAfter is how long a stage without news waits for its group. What is over
// sooner leaves its last line only, and no group with nothing in it.
const foldAfter = time.Second

// Fold is how a log folds lines away: what lies between the two calls is shown as its
// title until the reader unfolds it. Both are called one at a time, and
// never Begin after Begin.
type Fold struct {
	Begin func(title string)
	End   func()
}

// Fold lets the lines of running stages be in a group, so that a log that is read later shows
// last lines only. Groups do not nest: a stage that runs beside another one has its lines in
// the other's group. Call it before the first stage; where lines are redrawn it has no effect.
func (d *Display) Fold(f Fold) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.live {
		d.fold = &f
	}
}

// Aside calls write, which writes what must be seen at once, such as an error, outside of
// any group. A stage that is running gets a new group with its next line.
func (d *Display) Aside(write func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unfold()
	return write()
}

func (d *Display) unfold() {
	if d.folded {
		d.folded = false
		d.fold.End()
	}
}
