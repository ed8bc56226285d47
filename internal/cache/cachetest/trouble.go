package cachetest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"time"
)

// Trouble is something that goes wrong, and what it may cost at most.
type Trouble struct {
	Part     string // of parts
	Nth      int    // 0 means 1 and all after it
	Answer   http.HandlerFunc
	Log      []string      // a part of each line
	Saved    bool          // the run's snapshot and blobs are there afterwards
	Lost     bool          // the old snapshot is not: what cannot be read is replaced
	Requests int           // at most; 0 means as many as without trouble
	Wait     time.Duration // at most; 0 means that of one or two backoffs
	Asked    time.Duration // what the service asked to wait
}

const Html = "<html>lost</html>"

func CutShort(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, "nixery-action ledger ")
}

func Stall(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, "nixery-action ledger ")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func Endless(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.Copy(w, io.LimitReader(&Pattern{}, 1<<20))
}

// Unheard does what is asked, and loses the answer.
func Unheard(inner http.Handler) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
}
