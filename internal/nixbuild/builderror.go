package nixbuild

import (
	"fmt"
	"github.com/org/nixery-action/internal/nix"
	"regexp"
	"slices"
	"strings"
)

// BuildError is a derivation whose build ended badly.
type BuildError struct {
	Derivation nix.StorePath
	Packages   []string // those that were asked for of which this is the derivation; empty for what they depend on
	Message    string   // Nix's sentence: an exit code, a hash that differs, …
	Log        []string // the last lines that Nix repeats of the build's log; may be empty
	cause      error
}

func (e *BuildError) Error() string {
	lines := append([]string{fmt.Sprintf("building %s: %s", e.Derivation, e.Message)}, e.Log...)
	for _, line := range e.Log {
		if strings.Contains(line, "Exec format error") {
			return strings.Join(append(lines, "the build runs programs of another system; "+otherSystemHint), "\n")
		}
	}
	return strings.Join(append(lines, "the whole log: nix-store --read-log "+string(e.Derivation)+
		"; in a workflow, in a step after this one with if: failure()"), "\n")
}

func (e *BuildError) Unwrap() error { return e.cause }

// SystemError is a derivation that no machine at hand can build.
type SystemError struct {
	Derivation nix.StorePath
	Wanted     string   // system, as aarch64-linux
	Have       string   // this machine's
	Missing    []string // system features, as kvm, that it lacks; sorted
	cause      error
}

const otherSystemHint = "run this job on a native runner for that system, or name a remote builder in nix.conf (builders), " +
	"or register QEMU with binfmt (docker/setup-qemu-action) and set extra-platforms in nix.conf"

func (e *SystemError) Error() string {
	if e.Wanted == e.Have {
		return fmt.Sprintf("building %s takes the system features {%s}, which this machine does not offer; "+
			"use a machine that has them, or add them to system-features in nix.conf", e.Derivation, strings.Join(e.Missing, ", "))
	}
	return fmt.Sprintf("building %s takes %s, and this machine is %s; %s", e.Derivation, e.Wanted, e.Have, otherSystemHint)
}

func (e *SystemError) Unwrap() error { return e.cause }

var (
	// Nix up to 2.28: a 'aarch64-linux' with features {} is required to build '….drv', but I am a 'x86_64-linux' with features {…}
	systemOld = regexp.MustCompile(`a '([^']+)' with features \{([^}]*)\} is required to build '` + storePathRx +
		`', but I am a '([^']+)' with features \{([^}]*)\}`)
	// Nix from 2.29 on, in lines of their own.
	systemNew = regexp.MustCompile(`Cannot build '` + storePathRx + `'\.\s+Reason: required system or feature not available\s+` +
		`Required system: '([^']+)' with features \{([^}]*)\}\s+Current system: '([^']+)' with features \{([^}]*)\}`)
)

func systemError(exit *ExitError) error {
	text := strings.Join(exit.Stderr, "\n")
	if m := systemOld.FindStringSubmatch(text); m != nil {
		return &SystemError{Derivation: nix.StorePath(m[3]), Wanted: m[1], Have: m[4], Missing: lacking(m[2], m[5]), cause: exit}
	}
	if m := systemNew.FindStringSubmatch(text); m != nil {
		return &SystemError{Derivation: nix.StorePath(m[1]), Wanted: m[2], Have: m[4], Missing: lacking(m[3], m[5]), cause: exit}
	}
	return nil
}

// lacking lists what is in the first of two comma-separated lists only.
func lacking(want, have string) []string {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
	}
	missing := slices.DeleteFunc(split(want), func(f string) bool { return slices.Contains(split(have), f) })
	slices.Sort(missing)
	return missing
}

// A derivation has no root of its own between evaluation and build.
var collected = regexp.MustCompile(`path '` + storePathRx + `' (does not exist|is not valid)|don't know how to build these paths`)

func collectedError(exit *ExitError) error {
	for _, line := range exit.Stderr {
		if errorLine.MatchString(line) && collected.MatchString(line) {
			return fmt.Errorf("a derivation was garbage-collected between evaluation and build; run this again, "+
				"and keep nix-collect-garbage from running meanwhile: %w", exit)
		}
	}
	return nil
}

var (
	blame    = regexp.MustCompile(`^\s*error: (.*'` + storePathRx + `'.*)`)
	building = regexp.MustCompile(`^building '` + storePathRx + `'`)
	reason   = regexp.MustCompile(`^\s*Reason: (.*)`)
	log      = regexp.MustCompile(`^\s*> ?(.*)`)
	digest   = regexp.MustCompile(`^\s*(specified|got): *(.*)`)
	also     = regexp.MustCompile(`dependenc(y|ies) (of derivation|failed)`) // fails because another one does
)

// buildError reads the first derivation that Nix blames.
func buildError(exit *ExitError) error {
	for i, line := range exit.Stderr {
		m := blame.FindStringSubmatch(line)
		if m == nil || !strings.HasSuffix(m[2], ".drv") {
			continue
		}
		e := &BuildError{Derivation: nix.StorePath(m[2]), cause: exit}
		e.Message = strings.TrimRight(strings.Replace(m[1], "builder for '"+m[2]+"'", "its builder", 1), ";:")
		e.readParticulars(exit.Stderr[i+1:])
		if also.MatchString(e.Message) {
			continue
		}
		if len(e.Log) == 0 {
			e.Log = logBefore(exit.Stderr[:i])
		}
		return e
	}
	return nil
}

// name finds the packages that the derivation makes.
func (e *BuildError) name(pkgs []Package) {
	for _, p := range pkgs {
		if p.Drv == e.Derivation && !slices.Contains(e.Packages, p.Name) {
			e.Packages = append(e.Packages, p.Name)
		}
	}
}

// readParticulars takes reason, digests and log from the lines that follow Nix's
// sentence, up to its next one.
func (e *BuildError) readParticulars(lines []string) {
	for _, line := range lines {
		if errorLine.MatchString(line) {
			return
		}
		if m := reason.FindStringSubmatch(line); m != nil {
			e.Message = strings.TrimSuffix(m[1], ".")
		}
		if m := digest.FindStringSubmatch(line); m != nil {
			e.Message += ", " + m[1] + " " + m[2]
		}
		if m := log.FindStringSubmatch(line); m != nil {
			e.Log = append(e.Log, m[1])
		}
	}
}

// logBefore takes the log from the lines that ran before the error: a Nix that
// builds by itself, without a daemon, does not repeat them. Several builds at
// once are mixed there.
func logBefore(lines []string) []string {
	for i := len(lines) - 1; i >= max(0, len(lines)-shownLines); i-- {
		if building.MatchString(lines[i]) {
			return slices.Clone(lines[i+1:])
		}
	}
	return slices.Clone(lines[max(0, len(lines)-shownLines):])
}
