package build

import (
	"errors"
	"fmt"
	"io/fs"
	slashpath "path"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/report"
	"github.com/org/nixery-action/internal/spec"
	"github.com/org/nixery-action/internal/suggest"
)

// command is the program that a container of an image starts, found as runc does:
// a word without a slash in PATH, another one relative to the working directory.
type command struct {
	contents *layers.Contents
	config   v1.Config
	key      string // of the spec
	word     string // as the key has it
}

// checkProgram warns of an entrypoint or command that no container can start.
func checkProgram(contents *layers.Contents, target Target, config v1.Config) ([]Warning, error) {
	c := command{contents: contents, config: config}
	pos := target.Config.EntrypointPos
	switch {
	case len(config.Entrypoint) > 0:
		c.key, c.word = "entrypoint", config.Entrypoint[0]
	case len(config.Cmd) > 0:
		c.key, c.word, pos = "cmd", config.Cmd[0], target.Config.CmdPos
	default:
		return nil, nil
	}
	fault, err := c.fault()
	if fault == "" || err != nil {
		return nil, err
	}
	if pos.Line == 0 {
		pos = target.Pos
	}
	text := fmt.Sprintf("image %s: %s %q: %s", target.Name, c.key, c.word, fault)
	return []Warning{{report.Warning{Image: target.Name, Title: titleProgram, Message: text}, pos}}, nil
}

// fault returns why the program cannot be started, with a proposal; "" if it
// can, or if a volume may contain it.
func (c command) fault() (string, error) {
	var candidates []string
	for _, dir := range c.dirs() {
		candidates = append(candidates, slashpath.Join(dir, slashpath.Base(c.word)))
	}
	if slices.ContainsFunc(candidates, c.inVolume) {
		return "", nil
	}
	for _, name := range candidates {
		mode, err := c.contents.Mode(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", err
		case mode.IsDir() && !strings.Contains(c.word, "/"): // passed over, as a shell does
		case mode.IsDir():
			return "it is a directory; name a program", nil
		case mode&0o111 == 0:
			return "it is not executable in " + name + "; mark it as executable in its package, or start it by an interpreter", nil
		default:
			return "", nil
		}
	}
	text := "the image has no such file"
	if !strings.Contains(c.word, "/") {
		text = "no package has such a program in PATH (" + strings.Join(c.path(), ":") + ")"
	}
	near, err := c.near()
	return text + near, err
}

// dirs lists the directories that may contain the program, in the order of search.
func (c command) dirs() []string {
	if !strings.Contains(c.word, "/") {
		return c.path()
	}
	dir := slashpath.Dir(c.word)
	if !slashpath.IsAbs(dir) {
		dir = slashpath.Join("/", c.config.WorkingDir, dir)
	}
	return []string{dir}
}

// path returns the absolute directories of PATH: "PATH=/bin:x:/sbin" ▶ [/bin /sbin].
func (c command) path() []string {
	var dirs []string
	for _, variable := range c.config.Env {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			dirs = strings.Split(value, ":")
		}
	}
	return slices.DeleteFunc(dirs, func(dir string) bool { return !slashpath.IsAbs(dir) })
}

// inVolume reports whether a volume of the image may contain a file.
func (c command) inVolume(name string) bool {
	for volume := range c.config.Volumes {
		if strings.HasPrefix(name, volume+"/") {
			return true
		}
	}
	return false
}

// near proposes a correction: a list of words in place of one with spaces, or a
// program of a similar name.
//
//	"git log" ▶ "; each word is an item of its own: write cmd: [git, log]"
//	"gti"     ▶ "; did you mean git?"
func (c command) near() (string, error) {
	if words := strings.Fields(c.word); len(words) > 1 {
		return fmt.Sprintf("; each word is an item of its own: write %s: [%s]", c.key, strings.Join(words, ", ")), nil
	}
	programs := map[string]string{}
	for _, dir := range slices.Backward(append([]string{"/bin"}, c.path()...)) {
		names, err := c.contents.Names(dir)
		if err != nil {
			return "", err
		}
		for _, name := range names {
			programs[name] = slashpath.Join(dir, name)
		}
	}
	var names []string
	for name := range programs {
		names = append(names, name)
	}
	guesses := suggest.Nearest(slashpath.Base(c.word), names, 1)
	if len(guesses) == 0 {
		return "; add the package that has it, or name another", nil
	}
	meant := programs[guesses[0]]
	if !strings.Contains(c.word, "/") && slices.Contains(c.path(), slashpath.Dir(meant)) {
		meant = guesses[0]
	}
	return "; did you mean " + meant + "?", nil
}

// maxAccounts bounds the bytes that are read of /etc/passwd or /etc/group.
const maxAccounts = 1 << 20

// checkUser warns of a user or group that the image has no entry for: runtimes
// refuse to start such a container. Numbers need no entry.
func checkUser(contents *layers.Contents, target Target, config v1.Config) ([]Warning, error) {
	user, group, _ := strings.Cut(config.User, ":")
	var all []Warning
	for _, one := range []struct{ kind, name, file string }{{"user", user, "/etc/passwd"}, {"group", group, "/etc/group"}} {
		if _, err := strconv.Atoi(one.name); err == nil || one.name == "" {
			continue
		}
		names, err := accounts(contents, one.file)
		if err != nil {
			return nil, err
		}
		if slices.Contains(names, one.name) {
			continue
		}
		hint := "write a number, such as 1000, or add a package that has " + one.file[1:]
		if guesses := suggest.Nearest(one.name, names, 1); len(guesses) > 0 {
			hint = "did you mean " + guesses[0] + "?"
		}
		text := fmt.Sprintf("image %s: user %q: the image's %s has no %s %q, so no container starts; %s", target.Name, config.User, one.file, one.kind, one.name, hint)
		pos := target.Config.UserPos
		if pos == (spec.Position{}) {
			pos = target.Pos
		}
		all = append(all, Warning{report.Warning{Image: target.Name, Title: titleUser, Message: text}, pos})
	}
	return all, nil
}

// accounts lists the names in /etc/passwd or /etc/group; none if the image lacks
// the file.
func accounts(contents *layers.Contents, file string) ([]string, error) {
	data, err := contents.ReadFile(file, maxAccounts)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, nil
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			names = append(names, name)
		}
	}
	return names, err
}
