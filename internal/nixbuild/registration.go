package nixbuild

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/org/nixery-action/internal/nix"
)

// registration reads Nix's format for valid paths, one item a line: path, NAR
// hash in hex, NAR size, deriver (maybe empty), number of references, and the
// references. See "nix-store --register-validity" in Nix's manual.
type registration struct {
	rest string // what is left, without its last newline
	left bool   // there is another line, which may be empty
	line int    // of the last line that was read, from 1
}

func parseRegistration(text []byte) ([]nix.PathInfo, error) {
	if len(text) == 0 {
		return nil, nil
	}
	body, ended := strings.CutSuffix(string(text), "\n")
	if !ended {
		return nil, errors.New("the last line is cut off")
	}
	reg := &registration{rest: body, left: true}
	var infos []nix.PathInfo
	for reg.left {
		info, err := reg.info()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", reg.line, err)
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func (reg *registration) next() (string, error) {
	if !reg.left {
		return "", errors.New("the record ends too early")
	}
	reg.line++
	var line string
	line, reg.rest, reg.left = strings.Cut(reg.rest, "\n")
	return line, nil
}

func (reg *registration) info() (nix.PathInfo, error) {
	var info nix.PathInfo
	var err error
	if info.Path, err = reg.path(); err != nil {
		return info, err
	}
	if info.NarHash, err = reg.hash(); err != nil {
		return info, err
	}
	if info.NarSize, err = reg.number(); err != nil {
		return info, err
	}
	if _, err = reg.next(); err != nil { // the deriver; nothing depends on it
		return info, err
	}
	info.References, err = reg.references()
	return info, err
}

func (reg *registration) path() (nix.StorePath, error) {
	text, err := reg.next()
	if err != nil {
		return "", err
	}
	return nix.ParseStorePath(text)
}

func (reg *registration) hash() (v1.Hash, error) {
	text, err := reg.next()
	if err != nil {
		return v1.Hash{}, err
	}
	return nix.ParseNarHash("sha256:" + text)
}

func (reg *registration) number() (int64, error) {
	text, err := reg.next()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a count", text)
	}
	return n, nil
}

func (reg *registration) references() ([]nix.StorePath, error) {
	n, err := reg.number()
	if err != nil {
		return nil, err
	}
	var refs []nix.StorePath
	for range n {
		ref, err := reg.path()
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, nil
}
