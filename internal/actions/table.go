package actions

import (
	"slices"
	"strings"
)

//go:generate go run ./actiongen ../..

// Kind is how the text of an input is read.
type Kind string

// The kinds of input. All but Text, Path, Switch and Choice are lists.
const (
	Text   Kind = "text"
	Path   Kind = "path"   // one line
	Switch Kind = "switch" // true or false; empty is the default
	Choice Kind = "choice" // one of some words; empty is the default
	Commas Kind = "commas" // lines or commas separate items; quotes keep both
	Words  Kind = "words"  // as Commas, and blanks separate too
	Lines  Kind = "lines"  // lines separate items; quotes keep them
	Raw    Kind = "raw"    // lines whose quotes mean something to whoever reads them next
)

// Input is a row of the table of inputs, from which action.yml, the README's
// table and the JSON Schema of a step are made too.
type Input struct {
	Name        string
	Description string // plain text without Markdown
	Default     string
	Kind        Kind
	Words       []string // of a Choice
	Flag        string   // of the command build that is the same, if it is not called Name
	Secret      bool     // its value reaches no log
	Marker      bool     // Default is no item of the list, but says that it is not given: if it is empty, it is given so
	Metadata    bool     // or the json output of docker/metadata-action, of which it takes the part of its own name

	field func(*Inputs) any // a *string, *bool or *[]string
}

// InputTable returns a row for each input, in the order in which people read them.
func InputTable() []Input { return slices.Clone(inputTable) }

// FlagOf is the flag of the command build that is the same as an input.
func FlagOf(input string) string {
	i := slices.IndexFunc(inputTable, func(in Input) bool { return in.Name == input })
	if i < 0 || inputTable[i].Flag == "" {
		return "--" + input
	}
	return "--" + inputTable[i].Flag
}

// Secrets are the values that reach no log.
func (i Inputs) Secrets() []string {
	var all []string
	for _, input := range inputTable {
		if value, ok := input.field(&i).(*string); ok && input.Secret && strings.TrimSpace(*value) != "" {
			all = append(all, *value)
		}
	}
	return all
}

var inputTable = []Input{
	{
		Name: "file", Kind: Path,
		Description: "The spec, by its path from the root of the checkout. It is nixery.yaml in the context unless you say otherwise.",
		field:       func(i *Inputs) any { return &i.File },
	}, {
		Name: "context", Kind: Path, Default: ".",
		Description: "The directory in which the spec is looked for, and from which a path in nixpkgs starts. It is a directory of the checkout, not a URL.",
		field:       func(i *Inputs) any { return &i.Context },
	}, {
		Name: "images", Kind: Commas, Flag: "image",
		Description: "Which images of the spec to make, separated by lines or commas; all of them if it is empty.",
		field:       func(i *Inputs) any { return &i.Images },
	}, {
		Name: "packages", Kind: Words, Flag: "package",
		Description: "Packages, separated by lines, commas or blanks, in place of those of the spec. With them there need be no spec: " +
			"then the image is what the inputs say.",
		field: func(i *Inputs) any { return &i.Packages },
	}, {
		Name: "nixpkgs", Kind: Text,
		Description: "Where packages are from, in place of what the spec says: a channel such as nixos-25.11, a commit of nixpkgs in 40 hexadecimal digits, " +
			"a path that begins with . or /, or a flake reference. The spec's config and overlays stay.",
		field: func(i *Inputs) any { return &i.Nixpkgs },
	}, {
		Name: "tags", Kind: Commas, Flag: "tag", Metadata: true, Marker: true, Default: "of the spec",
		Description: "References to publish under, such as ghcr.io/acme/toolbox:v1, separated by lines or commas, in place of the spec's repository and tags. " +
			"If it is set and empty, as when a step before has no tag to give, there is none, and to push is an error. " +
			"The outputs tags and json of docker/metadata-action are read as they are, and so are its labels and annotations below.",
		field: func(i *Inputs) any { return &i.Tags },
	}, {
		Name: "labels", Kind: Lines, Flag: "label", Metadata: true,
		Description: "Labels of the images, key=value, one a line; they come on top of the spec's. Those of docker/metadata-action hold the time of the run, " +
			"so the digest is another one each time.",
		field: func(i *Inputs) any { return &i.Labels },
	}, {
		Name: "annotations", Kind: Lines, Flag: "annotation", Metadata: true,
		Description: "Annotations of each platform's manifest, key=value, one a line; with index: in front of the index, with manifest[linux/amd64]: of one platform, " +
			"with manifest,index: of both. The images' format must be oci; without a spec it is.",
		field: func(i *Inputs) any { return &i.Annotations },
	}, {
		Name: "platforms", Kind: Commas, Flag: "platform",
		Description: "Platforms to make images for, such as linux/amd64,linux/arm64, separated by lines or commas, in place of the spec's architectures.",
		field:       func(i *Inputs) any { return &i.Platforms },
	}, {
		Name: "push", Kind: Switch, Default: "false",
		Description: "Push the images to their registries. Otherwise they are built, and their digests are outputs, but nothing leaves the runner. " +
			"It is short for push=true in each line of outputs with type=image, or for a line type=registry if outputs has neither of these types.",
		field: func(i *Inputs) any { return &i.Push },
	}, {
		Name: "load", Kind: Switch, Default: "false",
		Description: "Load the image into the docker daemon of the runner, for one platform only. It is short for type=docker in outputs.",
		field:       func(i *Inputs) any { return &i.Load },
	}, {
		Name: "outputs", Kind: Raw, Flag: "output",
		Description: "Destinations, one a line: type=oci,dest=image.tar for an OCI layout, type=docker,dest=image.tar for docker load, " +
			"type=image,push-by-digest=true,push=true,name=ghcr.io/acme/toolbox for a push without a tag. Each line is for itself: its name, which " +
			"replaces tags in this line only, its push, push-by-digest and registry.insecure.",
		field: func(i *Inputs) any { return &i.Outputs },
	}, {
		Name: "cache-from", Kind: Raw, Default: "type=gha",
		Description: "Where to learn from earlier runs what need not be made again, one a line: type=gha, type=registry,ref=ghcr.io/acme/cache or type=local,src=directory.",
		field:       func(i *Inputs) any { return &i.CacheFrom },
	}, {
		Name: "cache-to", Kind: Raw, Default: "type=gha",
		Description: "Where to tell later runs, one a line: type=gha, type=registry,ref=ghcr.io/acme/cache or type=local,dest=directory; " +
			"with mode=max the layers themselves too.",
		field: func(i *Inputs) any { return &i.CacheTo },
	}, {
		Name: "cache-key", Kind: Text, Secret: true,
		Description: "A secret of 16 or more bytes. With it, only caches that were saved with the same secret are believed: others who can write to the cache " +
			"cannot change what is published. Advised for releases.",
		field: func(i *Inputs) any { return &i.CacheKey },
	}, {
		Name: "no-cache", Kind: Switch, Default: "false",
		Description: "Learn nothing from earlier runs, and tell later ones nothing.",
		field:       func(i *Inputs) any { return &i.NoCache },
	}, {
		Name: "verify", Kind: Switch, Default: "false",
		Description: "Build everything without the cache, and compare it with what earlier runs cached; a difference fails the step before anything is published. " +
			"It also asks the registry for every layer. Advised for releases.",
		field: func(i *Inputs) any { return &i.Verify },
	}, {
		Name: "metadata-file", Kind: Path,
		Description: "A file to write the output metadata to, with the output json under the key nixery.",
		field:       func(i *Inputs) any { return &i.MetadataFile },
	}, {
		Name: "install-nix", Kind: Choice, Default: "auto", Words: []string{"auto", "never"},
		Description: "What to do if Nix is needed and missing: auto installs it, never fails the step.",
		field:       func(i *Inputs) any { return &i.InstallNix },
	}, {
		Name: "summary", Kind: Switch, Default: "true",
		Description: "Show what was made, and what changed, on the page of the run.",
		field:       func(i *Inputs) any { return &i.Summary },
	}, {
		Name: "comment", Kind: Switch, Default: "false",
		Description: "Write the same as a comment on the pull request, and keep it up to date. The job needs the permission pull-requests: write.",
		field:       func(i *Inputs) any { return &i.Comment },
	}, {
		Name: "github-token", Kind: Text, Default: "${{ github.token }}", Secret: true,
		Description: "The token for ghcr.io when docker's configuration has no login for it, and for comments. It is sent nowhere else.",
		field:       func(i *Inputs) any { return &i.GitHubToken },
	},
}
