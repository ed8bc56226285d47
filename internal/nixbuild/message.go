package nixbuild

import (
	"regexp"
	"strings"
)

// maxMessage is how many lines of an error of Nix are repeated. nixpkgs' own
// run to twenty, of which the first say what is wrong.
const maxMessage = 12

var (
	// Older versions print "error: text"; newer ones "error:", a stack trace,
	// and "error: text" once more.
	errorLine   = regexp.MustCompile(`^\s*error: `)
	sourceLine  = regexp.MustCompile(`^\s*\d*\|`)
	adviceLine  = regexp.MustCompile(`^\s*\(?(use '--show-trace'|stack trace truncated)`)
	storePathRx = `(/nix/store/[0-9a-z]{32}-[0-9A-Za-z+._?=-]+)`
)

// nixMessage finds the last error in a program's stderr: its text and the place
// in the source, without stack trace and excerpts.
func nixMessage(stderr []string) string {
	start := lastError(stderr)
	if start < 0 {
		return strings.Join(stderr[max(0, len(stderr)-maxMessage):], "\n")
	}
	var kept []string
	for i, line := range stderr[start:] {
		if i > 0 && (strings.TrimSpace(line) == "" || sourceLine.MatchString(line) || adviceLine.MatchString(line)) {
			continue
		}
		kept = append(kept, strings.TrimRight(strings.TrimPrefix(line, "       "), " "))
	}
	kept[0] = errorLine.ReplaceAllString(kept[0], "")
	kept = append(kept[:min(len(kept), maxMessage)], fatalLines(stderr[:start])...)
	return strings.Join(kept, "\n")
}

// fatalLines are what git says before Nix says only that git failed.
func fatalLines(stderr []string) []string {
	var fatal []string
	for _, line := range stderr {
		if strings.HasPrefix(line, "fatal: ") {
			fatal = append(fatal, line)
		}
	}
	return fatal[max(0, len(fatal)-2):]
}

func lastError(lines []string) int {
	for i := len(lines) - 1; i >= 0; i-- {
		if errorLine.MatchString(lines[i]) {
			return i
		}
	}
	return -1
}
