package bounded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// JSON returns a decoder of at most most bytes of r, see [Reader].
func JSON(ctx context.Context, r io.Reader, most int64) *json.Decoder {
	return json.NewDecoder(filled{Reader(ctx, r, most)})
}

// filled reads as much as there is room for. A decoder looks through a row of
// blanks from its beginning each time that more of it comes: in small pieces that
// takes time by the square of its length.
type filled struct{ r io.Reader }

func (f filled) Read(p []byte) (int, error) {
	n, err := io.ReadFull(f.r, p)
	if errors.Is(err, io.ErrUnexpectedEOF) && n > 0 {
		err = nil // the end comes with the next Read
	}
	return n, err
}

// Object reads a JSON object of at most most fields. each is called with the
// name of each field, and reads its value from d.
func Object(d *json.Decoder, most int, each func(name string) error) error {
	if err := delimiter(d, '{', "an object"); err != nil {
		return err
	}
	return Fields(d, most, each)
}

// Fields is [Object] after the brace.
func Fields(d *json.Decoder, most int, each func(name string) error) error {
	for n := 0; d.More(); n++ {
		if n == most {
			return &Error{int64(most), "entries"}
		}
		name, err := d.Token()
		if err != nil {
			return err
		}
		text, ok := name.(string)
		if !ok {
			return fmt.Errorf("%v stands where the name of a field should", name)
		}
		if err := each(text); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return unended(err)
}

// Array reads a JSON array of at most most values. each reads one of them from d.
func Array(d *json.Decoder, most int, each func() error) error {
	if err := delimiter(d, '[', "an array"); err != nil {
		return err
	}
	return Values(d, most, each)
}

// Values is [Array] after the bracket.
func Values(d *json.Decoder, most int, each func() error) error {
	for n := 0; d.More(); n++ {
		if n == most {
			return &Error{int64(most), "entries"}
		}
		if err := each(); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return unended(err)
}

// Value reads the next JSON value, of at most most bytes, into v.
func Value(d *json.Decoder, most int, v any) error {
	var text json.RawMessage
	if err := d.Decode(&text); err != nil {
		return unended(err)
	}
	if len(text) > most {
		return fmt.Errorf("an entry is too long: %w", &Error{int64(most), "bytes"})
	}
	return json.Unmarshal(text, v)
}

// End wants nothing but blanks to be left.
func End(d *json.Decoder) error {
	_, err := d.Token()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return errors.New("more than one JSON value")
	}
	return err
}

func delimiter(d *json.Decoder, want json.Delim, what string) error {
	token, err := d.Token()
	if err != nil {
		return unended(err)
	}
	if token != want {
		return fmt.Errorf("%.20q is not %s", fmt.Sprint(token), what)
	}
	return nil
}

// unended: within a value the end of the input is no end.
func unended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
