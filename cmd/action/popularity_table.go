package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/org/nixery-action/internal/popularity"
)

// checkOutput fails now if the file could not be written later, when an hour of
// counting is behind.
func checkOutput(file string) error {
	if file == "" {
		return nil
	}
	if stat, err := os.Stat(file); err == nil && stat.IsDir() {
		return usagef("output %s: it is a folder", file)
	}
	temp, err := createBeside(file)
	if err != nil {
		return usageError{err}
	}
	temp.Close()
	return os.Remove(temp.Name())
}

func createBeside(file string) (*os.File, error) {
	temp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", file, err)
	}
	return temp, nil
}

// writeTable replaces file when all of the table is there, or writes to stdout if
// there is no file.
func writeTable(file string, stdout io.Writer, counts popularity.Counts) error {
	if file == "" {
		return counts.Write(stdout)
	}
	temp, err := createBeside(file)
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // in vain, if all goes well
	err = encodeTable(temp, counts, strings.HasSuffix(file, ".gz"))
	if err == nil {
		err = temp.Chmod(0o644)
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
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
