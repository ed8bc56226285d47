// Package spec turns a YAML file that names packages into a [Spec]: checked,
// with every default in place, and every variable expanded. It stands apart
// because it is the one part that speaks to the person who wrote the file, so
// it reads no package set, no registry and no environment but what it is given.
// A Spec it returns is valid throughout; else every error in the file comes
// back at once, each with its line and column.
package spec

import (
	"slices"

	"github.com/org/nixery-action/internal/suggest"
)

// The fields' comments below are also the descriptions in the JSON Schema, so
// they speak of the YAML's keys.
//go:generate go run ./schemagen ../../schema/nixery.schema.json

// Spec is what one file asks for: images, and the package set they are made of.
type Spec struct {
	// The file's name, as it was given to Load.
	File string `yaml:"-"`
	// The version of the spec's grammar. There is one so far.
	Version int `yaml:"version" jsonschema:"enum=1,default=1"`
	// The package set in which package names are looked up.
	Nixpkgs Nixpkgs `yaml:"nixpkgs"`
	// Several images, by name, in the file's order. A file with one image may give that image's keys at the top level instead.
	Images []Image `yaml:"images"`
}

// Nixpkgs says where the package set comes from: exactly one of channel, git,
// path and flake, and how it is configured.
type Nixpkgs struct {
	// Where the file names the source; zero if it names none.
	Pos Position `yaml:"-"`
	// A channel, such as nixos-25.11, or a commit of nixpkgs in 40 hexadecimal digits. This is the default: nixos-unstable.
	Channel string `yaml:"channel" jsonschema:"pattern=^[A-Za-z0-9][A-Za-z0-9.-]*$"`
	// A git repository with a package set at its root.
	Git *Git `yaml:"git"`
	// A directory or file with a package set, relative to the spec. In a git repository the files that git ignores are not read.
	Path string `yaml:"path" jsonschema:"minLength=1"`
	// A flake reference, such as github:owner/repo, or a directory; a package is looked up in its packages and legacyPackages.
	Flake string `yaml:"flake" jsonschema:"pattern=^[A-Za-z0-9./_]"`
	// The package set's config argument, such as allowUnfree. Not for flakes, which bring their own.
	Config map[string]any `yaml:"config"`
	// Files with overlays, relative to the spec, applied in order. Not for flakes.
	Overlays []string `yaml:"overlays" jsonschema:"minItems=1,uniqueItems=true,minLength=1"`
	// Whether path and overlays are read with the files that git ignores. They can get into images.
	IncludeIgnored bool `yaml:"include-ignored" jsonschema:"default=false"`
}

// Git is a package set in a git repository.
type Git struct {
	// Where to fetch from: https, http, ssh, file, or user@host:path. Never with a password.
	URL string `yaml:"url" jsonschema:"required,minLength=1"`
	// A branch or tag; the default branch when omitted.
	Ref string `yaml:"ref" jsonschema:"pattern=^[A-Za-z0-9_][A-Za-z0-9_.+@/-]*$"`
	// A commit, in 40 hexadecimal digits. Only with one is the package set pinned.
	Rev string `yaml:"rev" jsonschema:"pattern=^[0-9a-f]{40}$"`
}

// Image is one image, for one or several architectures.
type Image struct {
	// The image's key in the file; in a file of one image the last part of its repository, or "image".
	Name string `yaml:"-"`
	// Where the image begins in the file.
	Pos Position `yaml:"-"`
	// The repository that the image is published to, such as ghcr.io/acme/toolbox, without a tag.
	Repository string `yaml:"repository" jsonschema:"minLength=1"`
	// Where Repository stands in the file; zero if it does not.
	RepositoryPos Position `yaml:"-"`
	// Tags that will name the image. GitHub's default variables expand, such as ${GITHUB_SHA}; a plain $ is written $$.
	Tags []string `yaml:"tags" jsonschema:"minItems=1,uniqueItems=true,minLength=1,default=latest"`
	// What the image holds: names in the package set, with dots to descend. Their order makes no difference.
	Packages []string `yaml:"packages" jsonschema:"required,minItems=1,uniqueItems=true,maxLength=128,pattern=^[A-Za-z0-9_][A-Za-z0-9_'+-]*([.][A-Za-z0-9_][A-Za-z0-9_'+-]*)*$"`
	// Where each of Packages stands in the file.
	PackagePos []Position `yaml:"-"`
	// The architectures to build for. The default does not depend on the machine that builds.
	Architectures []string `yaml:"architectures" jsonschema:"minItems=1,uniqueItems=true"`
	// Where each of Architectures stands in the file; empty if they are the default.
	ArchitecturePos []Position `yaml:"-"`
	// What a container made of the image runs, and how.
	Config Config `yaml:"config"`
	// How store paths become layers.
	Layers Layers `yaml:"layers"`
	// Where the file names a popularity table; zero if it names none.
	PopularityPos Position `yaml:"-"`
	// The manifests' format: Docker's schema 2, or OCI.
	Format Format `yaml:"format" jsonschema:"enum=docker,enum=oci,default=docker"`
}

// Config is the part of an image's config that a spec can set. The zero value
// of a field means that the spec does not say. ExposedPorts always have their
// protocol, and StopSignal and User are as written, numbers too.
type Config struct {
	// The command that always runs, with its first arguments.
	Entrypoint []string `yaml:"entrypoint" jsonschema:"minItems=1"`
	// Where Entrypoint stands in the file; zero if it does not. So are the next ones.
	EntrypointPos Position `yaml:"-"`
	// The command, or the entrypoint's further arguments, unless the user gives others. The default is bash if the package shell is there.
	Cmd []string `yaml:"cmd" jsonschema:"minItems=1"`
	// Where Cmd stands in the file.
	CmdPos Position `yaml:"-"`
	// Environment variables.
	Env map[string]string `yaml:"env"`
	// The directory that the command starts in, an absolute path.
	WorkingDir string `yaml:"working-dir" jsonschema:"pattern=^/"`
	// Who runs the command: a name or number, and after a colon a group.
	User string `yaml:"user" jsonschema:"pattern=^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$"`
	// Where User stands in the file.
	UserPos Position `yaml:"-"`
	// Ports that the command listens on, such as 8080 or 53/udp.
	ExposedPorts []string `yaml:"exposed-ports" jsonschema:"minItems=1,uniqueItems=true,pattern=^[1-9][0-9]{0\\,4}(/(tcp|udp|sctp))?$"`
	// Directories that hold data of the container's own, absolute paths.
	Volumes []string `yaml:"volumes" jsonschema:"minItems=1,uniqueItems=true,pattern=^/."`
	// Labels of the image. GitHub's default variables expand in their values, such as ${GITHUB_SHA}; a plain $ is written $$.
	Labels map[string]string `yaml:"labels"`
	// The signal that ends the container, such as SIGTERM, or its number.
	StopSignal string `yaml:"stop-signal" jsonschema:"pattern=^(SIG[A-Z0-9+-]+|[0-9]+)$"`
}

// Layers says how an image's layers are cut and compressed.
type Layers struct {
	// The most layers of store paths; one more holds the links to the packages. With more than 125 layers in all, Docker neither pulls nor loads an image.
	Budget int `yaml:"budget" jsonschema:"minimum=1,maximum=124,default=94"`
	// The compression of layers. zstd needs the format oci.
	Compression string `yaml:"compression" jsonschema:"enum=gzip,enum=zstd,default=gzip"`
	// The compression's level: 1 to 9 for gzip, where 6 is the default; 1 to 19 for zstd, where 3 is.
	Level int `yaml:"level" jsonschema:"minimum=1,maximum=19"`
	// How many packages refer to each name, which tells what other images may share: embedded in the program, none, a file relative to the spec, or an https URL. Another table is another plan, and other digests.
	Popularity string `yaml:"popularity" jsonschema:"minLength=1,default=embedded"`
	// The SHA-256 of the popularity table's file, in 64 hexadecimal digits. Only with it does a URL give the same plan tomorrow.
	PopularitySHA256 string `yaml:"sha256" jsonschema:"pattern=^[0-9a-f]{64}$"`
}

// Format is the format of an image's manifests.
type Format string

// The formats that there are.
const (
	Docker Format = "docker" // schema 2 and manifest list; the default
	OCI    Format = "oci"
)

// Position is a place in the spec's file. Lines and columns count from 1, and
// columns count characters.
type Position struct{ Line, Column int }

// Select returns the images named, in the file's order and each once, or all
// of them if no name is given. The error for unknown names is an [Errors].
func (s *Spec) Select(names []string) ([]Image, error) {
	var known []string
	for _, img := range s.Images {
		known = append(known, img.Name)
	}
	var errs Errors
	for _, name := range names {
		if !slices.Contains(known, name) {
			near := suggest.Nearest(name, known, 1)
			errs = append(errs, Error{File: s.File, Message: "there is no image " + quote(name) + instead(near, known)})
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	images := slices.Clone(s.Images)
	if len(names) > 0 {
		images = slices.DeleteFunc(images, func(img Image) bool { return !slices.Contains(names, img.Name) })
	}
	return images, nil
}
