package cli

import (
	"errors"
	"strings"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/registry"
)

// Titles are what the list of a run's annotations shows before one is opened.

var packageTitles = map[nixbuild.Reason]string{
	nixbuild.NotFound:      "Unknown package",
	nixbuild.Unfree:        "Unfree package",
	nixbuild.Broken:        "Package is marked as broken",
	nixbuild.Insecure:      "Insecure package",
	nixbuild.Unsupported:   "Package is not for this architecture",
	nixbuild.NotDerivation: "Not a package",
	nixbuild.Failed:        "Package does not evaluate",
}

var registryTitles = map[registry.Kind]string{
	registry.Other:        "Registry",
	registry.UnknownHost:  "Unknown registry",
	registry.Unreachable:  "Registry cannot be reached",
	registry.Untrusted:    "Registry is not trusted",
	registry.PlainHTTP:    "Registry speaks plain HTTP",
	registry.Unauthorized: "Not logged in",
	registry.Forbidden:    "Registry refused",
	registry.NotFound:     "Unknown repository",
	registry.Throttled:    "Too many requests",
	registry.Unavailable:  "Registry has a fault",
}

// titleOf is a title for an error that is one fault; empty if there is none better than
// the message.
func titleOf(err error) string {
	if _, ok := errors.AsType[interruption](err); ok {
		return "Interrupted"
	}
	if errors.Is(err, nixbuild.ErrNoNix) {
		return "Nix is missing"
	}
	if e, ok := errors.AsType[*nixbuild.BuildError](err); ok {
		return "Build of " + strings.TrimSuffix(e.Derivation.Name(), ".drv") + " is broken"
	}
	if e, ok := errors.AsType[*nixbuild.SystemError](err); ok {
		return "No machine for " + e.Wanted
	}
	if _, ok := errors.AsType[*nixbuild.SourceError](err); ok {
		return "Package set"
	}
	if e, ok := errors.AsType[*registry.Error](err); ok {
		return registryTitles[e.Kind]
	}
	if _, ok := errors.AsType[*publish.DaemonError](err); ok {
		return "Docker's daemon"
	}
	if _, ok := errors.AsType[*layers.MismatchError](err); ok {
		return "Cache is wrong"
	}
	if _, ok := errors.AsType[*popularity.TableError](err); ok {
		return "Popularity table"
	}
	if e, ok := errors.AsType[*actions.InputError](err); ok {
		return "Input " + e.Input
	}
	if isBadInput(err) {
		return "Bad input"
	}
	return ""
}
