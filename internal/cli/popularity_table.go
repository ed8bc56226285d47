package cli

import (
	"compress/gzip"
	"fmt"
	"io"
	"strings"

	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/scratch"
)

// checkOutput fails now if the file could not be written later, when an hour of
// counting is behind.
func checkOutput(file string) error {
	if file == "" {
		return nil
	}
	if err := scratch.Check(file); err != nil {
		return usagef("output %s: %w", file, err)
	}
	return nil
}

// writeTable replaces file when all of the table is there, or writes to stdout if
// there is no file.
func writeTable(file string, stdout io.Writer, counts popularity.Counts) error {
	if file == "" {
		return counts.Write(stdout)
	}
	err := scratch.Replace(file, func(w io.Writer) error { return encodeTable(w, counts, strings.HasSuffix(file, ".gz")) })
	if err != nil {
		return fmt.Errorf("output %s: %w", file, err)
	}
	return nil
}

// encodeTable gives equal counts equal bytes, gzipped too: the header has no time.
func encodeTable(w io.Writer, counts popularity.Counts, zip bool) error {
	if !zip {
		return counts.Write(w)
	}
	zw, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := counts.Write(zw); err != nil {
		return err
	}
	return zw.Close()
}
