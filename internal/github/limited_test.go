package github

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/org/nixery-action/internal/bounded"
	"github.com/org/nixery-action/internal/bounded/boundedtest"
)

// An answer without an end is not held, though the client would decode it to its end.
func TestAnswerWithoutAnEnd(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write([]byte(`[`))
		for piece := bytes.Repeat([]byte(`{},`), 10_000); err == nil; {
			_, err = w.Write(piece)
		}
	}))
	defer api.Close()
	r, err := Open("acme/box", api.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	boundedtest.Within(t, 40*largestAnswer, func() {
		_, _, err = r.Client.Issues.ListComments(t.Context(), "acme", "box", 1, nil)
	})
	var over *bounded.Error
	if !errors.As(err, &over) {
		t.Errorf("got %v", err)
	}
}
