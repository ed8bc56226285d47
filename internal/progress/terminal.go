package progress

import (
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Terminal says what f can show: live, if lines can be redrawn; color, if its user
// wants colours too (https://no-color.org, and CLICOLOR_FORCE of https://bixense.com/clicolors for what is
// no terminal). getenv is asked for TERM, NO_COLOR and CLICOLOR_FORCE.
func Terminal(f *os.File, getenv func(string) string) (live, color bool) {
	live = term.IsTerminal(int(f.Fd())) && getenv("TERM") != "dumb"
	force := getenv("CLICOLOR_FORCE")
	return live, getenv("NO_COLOR") == "" && (live || force != "" && force != "0")
}

// Open returns a Display that refreshes itself until it is closed. It writes to w, which ends at f: the
// two differ where something, such as a filter of secrets, stands between. live is
// what [Terminal] says of f.
func Open(w io.Writer, f *os.File, live bool) *Display {
	width := func() int {
		columns, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 80
		}
		return columns
	}
	d := New(w, live, width, time.Now)
	d.stop = every(redrawEvery, d.Refresh)
	return d
}

// every calls f regularly until the function that it returns is called. That waits
// for a call under way; it may be called twice.
func every(period time.Duration, f func()) (stop func()) {
	ticker := time.NewTicker(period)
	stopped := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-ticker.C:
				f()
			case <-stopped:
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		ticker.Stop()
		close(stopped)
		running.Wait()
	})
}
