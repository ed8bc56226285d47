package bounded

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReader(t *testing.T) {
	for text, ok := range map[string]bool{"": true, "1234": true, "12345": true, "123456": false, strings.Repeat("x", 1000): false} {
		for name, r := range map[string]io.Reader{
			"whole":     strings.NewReader(text),
			"bytes":     iotest.OneByteReader(strings.NewReader(text)),
			"early end": iotest.DataErrReader(strings.NewReader(text)),
		} {
			got, err := ReadAll(t.Context(), r, 5)
			var over *Error
			if (err == nil) != ok || ok && string(got) != text || !ok && (!errors.As(err, &over) || over.Most != 5 || len(got) != 5) {
				t.Errorf("%s, %d bytes: got %q, %v", name, len(text), got, err)
			}
		}
	}
}

func TestReaderEndsWithItsContext(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	r := Reader(ctx, strings.NewReader("text"), 100)
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel(cause)
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

// What never answers does not hold up a run that is cancelled.
func TestPatientEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	silent, end := io.Pipe()
	defer end.Close()
	done := make(chan error)
	go func() {
		_, err := io.ReadAll(Patient(ctx, silent))
		done <- err
	}()
	if _, err := end.Write([]byte("begin")); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestPatientReadsAll(t *testing.T) {
	text := strings.Repeat("0123456789", 10_000)
	got, err := io.ReadAll(Patient(t.Context(), iotest.HalfReader(strings.NewReader(text))))
	if err != nil || string(got) != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// read reads {"a": [1, 2]} with at most two of everything.
func read(text string) (sum int, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	err = Object(d, 2, func(string) error {
		return Array(d, 2, func() error {
			var n int
			err := Value(d, 3, &n)
			sum += n
			return err
		})
	})
	return sum, errors.Join(err, End(d))
}

func TestJSON(t *testing.T) {
	for text, want := range map[string]int{
		`{}`: 0, `{"a":[1,2],"b":[3]}`: 6, ` { "a" : [ 999 ] } `: 999,
		``: -1, `{`: -1, `{"a"`: -1, `{"a":[`: -1, `{"a":[1`: -1, `{"a":[1]`: -1, `[]`: -1, `{"a":{}}`: -1, `{"a":1}`: -1, `{"a":[1]}x`: -1, `{}{}`: -1,
		`{"a":[],"b":[],"c":[]}`: -1, `{"a":[1,2,3]}`: -1, `{"a":[1000]}`: -1, `{1:[]}`: -1, `null`: -1,
	} {
		got, err := read(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
}

// A decoder looks again at all the blanks it has whenever it reads: so it must not read often.
func TestDecoderReadsSeldom(t *testing.T) {
	reads := 0
	counted := readerFunc(func(p []byte) (int, error) {
		reads++
		return filled{iotest.OneByteReader(strings.NewReader(strings.Repeat(" ", 1<<20)))}.Read(p)
	})
	d := json.NewDecoder(io.LimitReader(counted, 1<<20))
	if d.More() || reads > 30 {
		t.Errorf("%d reads of a mebibyte", reads)
	}
	if _, err := JSON(t.Context(), iotest.OneByteReader(strings.NewReader(" [1]")), 4).Token(); err != nil {
		t.Error(err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
