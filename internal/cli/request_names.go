package cli

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/spec"
)

// nameAll gives every publication the names that the images have there: those of its own line, else the tags of the
// options, also if these are given and empty, else the spec's.
func (r *request) nameAll(o buildOptions, w wanted, tags []name.Tag) error {
	var errs []error
	usedToPush, usedElse, lacksTag := false, false, false
	for i := range r.publications {
		p := &r.publications[i]
		switch {
		case len(p.Names) > 0:
			errs = append(errs, o.blame("outputs", r.nameByLine(o, p)))
		case o.Tags != nil:
			usedToPush, usedElse = usedToPush || p.Push, usedElse || !p.Push && p.Kind != publish.ToRegistry
			lacksTag = lacksTag || p.Push && len(o.Tags) == 0
			p.nameEach(r.orders, func(spec.Image) []name.Tag { return tags })
		default:
			errs = append(errs, r.nameBySpec(o, w, p))
		}
	}
	if lacksTag {
		errs = append(errs, o.blame("tags", errors.New("no tag: it is set and empty, so nothing can be pushed; give it a tag, leave it out for the spec's, or do not push")))
	}
	errs = append(errs, o.blame("tags", o.checkShared(tags, len(r.orders))))
	errs = append(errs, o.blame("tags", checkPlaces(tags, usedToPush || !usedElse)))
	_, err := r.insecureHosts()
	return errors.Join(append(errs, o.blame("outputs", err))...)
}

// nameEach names each image.
func (p *publication) nameEach(orders []build.Target, of func(spec.Image) []name.Tag) {
	for _, order := range orders {
		names := build.Names{Tags: of(order.Image)}
		if p.PushByDigest {
			for _, tag := range names.Tags {
				names.Repositories = append(names.Repositories, tag.Context())
			}
			names.Tags = nil
		}
		p.names = append(p.names, names)
	}
}

func (r *request) nameByLine(o buildOptions, p *publication) error {
	tags, err := parseTags(p.Names)
	errs := []error{err, checkPlaces(tags, p.Push)}
	if !p.PushByDigest {
		errs = append(errs, o.checkShared(tags, len(r.orders)))
	}
	for _, tag := range tags {
		if p.PushByDigest && hasTag(tag) {
			errs = append(errs, fmt.Errorf("output %q: a push by digest sets no tag; leave out that of %s", p.text, tag))
		}
	}
	p.nameEach(r.orders, func(spec.Image) []name.Tag { return tags })
	return errors.Join(errs...)
}

// nameBySpec wants a place for each image that is pushed.
func (r *request) nameBySpec(o buildOptions, w wanted, p *publication) error {
	var errs []error
	p.nameEach(r.orders, func(img spec.Image) []name.Tag {
		tags, err := parseTags(ownTags(img))
		switch {
		case err != nil:
			errs = append(errs, repositoryError{img.Name, err})
		case p.Push && len(tags) == 0:
			errs = append(errs, o.homeless(img, w.bare()))
		default:
			if err := checkPlaces(tags, p.Push); err != nil {
				errs = append(errs, repositoryError{img.Name, usageError{err}})
			}
		}
		return tags
	})
	return errors.Join(errs...)
}

// homeless is an image that has nowhere to be pushed to.
func (o buildOptions) homeless(img spec.Image, bare bool) error {
	switch {
	case bare:
		return o.blame("tags", fmt.Errorf("image %q has nowhere to be pushed to: name a reference", img.Name))
	case img.Repository != "":
		return imageError{img.Name, usagef("image %q has no tag: give it one in the spec, or %s", img.Name, o.called("tags"))}
	}
	return imageError{img.Name, usagef("image %q has nowhere to be pushed to: give it a repository in the spec, or %s", img.Name, o.called("tags"))}
}

func (o buildOptions) checkShared(names []name.Tag, images int) error {
	if len(names) == 0 || images < 2 {
		return nil
	}
	var texts []string
	for _, n := range names {
		if n.String() != "" {
			texts = append(texts, n.String())
		}
	}
	return fmt.Errorf("%d images cannot all be tagged %s: choose one with %s", images, strings.Join(texts, ", "), o.called("images"))
}

// checkPlaces refuses references that docker would take for images of its own library. A name for a file or daemon may
// be short, unless it can only be meant as a tag.
func checkPlaces(tags []name.Tag, pushed bool) error {
	var errs []error
	for _, tag := range tags {
		if isShort(tag.Context(), tag.String()) && (pushed || likeTag.MatchString(tag.String())) {
			errs = append(errs, shortNameError(tag.String()))
		}
	}
	return errors.Join(errs...)
}

// likeTag matches words that are tags rather than names of images.
var likeTag = regexp.MustCompile(`^(latest|v?[0-9][A-Za-z0-9._-]*)$`)

// isShort reports whether a repository is in docker's own library, and its name does not say so in full.
func isShort(repository name.Repository, written string) bool {
	return repository.RegistryStr() == name.DefaultRegistry && strings.HasPrefix(repository.RepositoryStr(), "library/") &&
		!strings.Contains(written, "docker.io/library/")
}

// shortNameError proposes a name in the registry of GitHub.
func shortNameError(written string) error {
	short := strings.TrimPrefix(written[strings.LastIndexByte(written, '/')+1:], "library/")
	return fmt.Errorf("%q has neither a registry nor an owner, so it means docker.io/library/%s; write %s, or docker.io/library/… if it is meant",
		written, short, proposedName(short))
}

// proposedName is a reference in ghcr.io: of the repository that the workflow is of, if there is one.
func proposedName(short string) string {
	slug := strings.ToLower(os.Getenv("GITHUB_REPOSITORY"))
	if slug == "" {
		slug = "OWNER/NAME"
	}
	if !strings.Contains(short, ":") {
		return "ghcr.io/" + slug + ":" + short
	}
	owner, _, _ := strings.Cut(slug, "/")
	return "ghcr.io/" + owner + "/" + short
}

// hasTag reports whether a tag was written, and not left to be latest.
func hasTag(tag name.Tag) bool { return strings.HasSuffix(tag.String(), ":"+tag.TagStr()) }

// withoutEffect says which lines or words of options do nothing.
func (r *request) withoutEffect(o buildOptions, tags []name.Tag) []string {
	var notices []string
	for _, p := range r.publications {
		switch {
		case p.Kind == publish.ToRegistry && p.NoPush:
			notices = append(notices, fmt.Sprintf("output %q is not pushed, as it says push=false", p.text))
		case p.Kind == publish.ToRegistry && !p.Push:
			notices = append(notices, fmt.Sprintf("output %q does nothing by itself; add push=true, or write type=registry", p.text))
		case p.PushByDigest && len(p.Names) == 0:
			for _, tag := range tags {
				if hasTag(tag) {
					notices = append(notices, fmt.Sprintf("output %q pushes by digest, so it does not set %s", p.text, tag))
				}
			}
		case len(o.Annotations) > 0 && (p.Kind == publish.ToArchive || p.Kind == publish.ToDaemon):
			notices = append(notices, fmt.Sprintf("%s: docker's archives and daemon hold no annotations", o.called("annotations")))
		}
	}
	return notices
}
