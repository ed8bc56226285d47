package progress

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTerminal(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, tc := range []struct {
		name        string
		f           *os.File
		env         map[string]string
		live, color bool
	}{
		{"terminal", terminal, nil, true, true},
		{"terminal without colours", terminal, map[string]string{"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, true, false},
		{"dumb terminal", terminal, map[string]string{"TERM": "dumb"}, false, false},
		{"file", file, nil, false, false},
		{"file with colours", file, map[string]string{"CLICOLOR_FORCE": "1"}, false, true},
		{"file, not forced", file, map[string]string{"CLICOLOR_FORCE": "0"}, false, false},
		{"file without colours", file, map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, false, false},
	} {
		live, color := Terminal(tc.f, func(name string) string { return tc.env[name] })
		if live != tc.live || color != tc.color {
			t.Errorf("%s: live %v, color %v", tc.name, live, color)
		}
	}
}
