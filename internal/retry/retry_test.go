package retry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errBusy = errors.New("busy")

// attempt runs an operation that always fails, and returns after which waits it
// was tried.
func attempt(t *testing.T, p Policy, verdict Verdict) (waits []time.Duration) {
	t.Helper()
	begin, tries := time.Now(), 0
	_, err := Do(t.Context(), p, func(error) Verdict { return verdict }, func(err error, wait time.Duration) {
		if !errors.Is(err, errBusy) {
			t.Errorf("note hears %v", err)
		}
		waits = append(waits, wait)
	}, func(context.Context) (int, error) {
		tries++
		return 0, errBusy
	})
	if !errors.Is(err, errBusy) || tries != len(waits)+1 {
		t.Errorf("%d tries, %d waits, %v", tries, len(waits), err)
	}
	var sum time.Duration
	for _, wait := range waits {
		sum += wait
	}
	if took := time.Since(begin); took != sum {
		t.Errorf("took %s, the waits are %s", took, sum)
	}
	return waits
}

func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := attempt(t, Policy{}, Verdict{Again: true})
		if len(waits) != 4 {
			t.Fatalf("waits %v", waits)
		}
		for i, least := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
			if waits[i] < least || waits[i] > least*3/2+1 {
				t.Errorf("wait %d is %s", i, waits[i])
			}
		}
	})
}

func TestFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if waits := attempt(t, Policy{}, Verdict{}); len(waits) != 0 {
			t.Errorf("waits %v", waits)
		}
		if waits := attempt(t, Policy{}, Verdict{Again: true, After: time.Hour}); len(waits) != 0 {
			t.Errorf("a server that asks for an hour is waited for: %v", waits)
		}
	})
}

// What a server asks for is a lower bound.
func TestServerAsksForAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, wait := range attempt(t, Policy{Attempts: 3}, Verdict{Again: true, After: 20 * time.Second}) {
			if wait != 20*time.Second {
				t.Errorf("wait is %s", wait)
			}
		}
		if waits := attempt(t, Policy{Attempts: 2, First: 10 * time.Second}, Verdict{Again: true, After: time.Second}); waits[0] < 10*time.Second {
			t.Errorf("wait is %s", waits[0])
		}
	})
}

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if waits := attempt(t, Policy{Attempts: 100, Patience: 20 * time.Second}, Verdict{Again: true}); len(waits) == 0 || len(waits) > 5 {
			t.Errorf("waits %v", waits)
		}
	})
}

func TestContextEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second/2, func() { cancel(cause) })
		begin := time.Now()
		_, err := Do(ctx, Policy{}, func(error) Verdict { return Verdict{Again: true} }, nil, func(context.Context) (int, error) { return 0, errBusy })
		if !errors.Is(err, cause) || time.Since(begin) != time.Second/2 {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}

func TestResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		got, err := Do(t.Context(), Policy{}, func(error) Verdict { return Verdict{Again: true} }, nil, func(context.Context) (int, error) {
			if tries++; tries < 3 {
				return 0, errBusy
			}
			return 7, nil
		})
		if got != 7 || err != nil || tries != 3 {
			t.Errorf("%d, %v after %d tries", got, err, tries)
		}
	})
}

func TestAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "99999999": 24 * time.Hour,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:00 GMT": 0,
	} {
		if got := After(header, now); got != want {
			t.Errorf("After(%q) is %s, want %s", header, got, want)
		}
	}
}
