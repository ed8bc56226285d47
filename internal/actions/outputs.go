package actions

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// SetOutputs appends the step's outputs to the runner's file, in the order of the table.
// Values may be anything; names are ours and hold no line break.
//
// The file's format is https://docs.github.com/actions (workflow commands, multiline
// strings). go-githubactions ends each value with the same word, so a value that holds
// it could set other outputs; here the word is a new one each time.
func SetOutputs(file string, outputs Outputs) error {
	var b strings.Builder
	for _, output := range outputTable {
		end := "end_" + rand.Text()
		fmt.Fprintf(&b, "%s<<%s\n%s\n%s\n", output.Name, end, output.value(outputs), end)
	}
	if err := appendFile(file, b.String()); err != nil {
		return fmt.Errorf("writing the step's outputs: %w", err)
	}
	return nil
}

func appendFile(name, text string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o644) // a pipe without a reader is an error
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
