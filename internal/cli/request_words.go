package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/nix"
)

// parseTags leaves an empty tag in the place of a wrong one, as a reference was given.
func parseTags(texts []string) ([]name.Tag, error) {
	var tags []name.Tag
	var errs []error
	for _, text := range texts {
		tag, err := name.NewTag(text)
		if err == nil && strings.Contains("/"+tag.RepositoryStr()+"/", "//") {
			tag, err = name.Tag{}, errors.New("a part of the repository's name is empty")
		}
		if lower := lowerRepository(text); err != nil && lower != text {
			if _, wrong := name.NewTag(lower); wrong == nil {
				errs = append(errs, fmt.Errorf("tag %q: registries want lower case: %s", text, lower))
				tags = append(tags, tag)
				continue
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("tag %q: want a reference such as ghcr.io/acme/toolbox:v1: %w", text, err))
		}
		tags = append(tags, tag)
	}
	return tags, errors.Join(errs...)
}

// lowerRepository is a reference with its repository in lower case: GitHub's names of
// repositories keep the case, and registries do not take it. A tag stays as it is.
//
//	ghcr.io/Acme/Toolbox:V1 ▶ ghcr.io/acme/toolbox:V1
func lowerRepository(text string) string {
	end := len(text)
	if colon := strings.LastIndexByte(text, ':'); colon > strings.LastIndexByte(text, '/') {
		end = colon
	}
	return strings.ToLower(text[:end]) + text[end:]
}

func isBlank(text string) bool { return strings.Trim(text, " \t\r\n,") == "" }

func architecturesOf(platforms []string) ([]string, error) {
	var all []string
	var errs []error
	for _, p := range platforms {
		platform, err := nix.ParsePlatform(strings.TrimSpace(p))
		errs = append(errs, err)
		all = append(all, platform.Architecture)
	}
	slices.Sort(all)
	return slices.Compact(all), errors.Join(errs...)
}

func parseLabels(labels []string) (map[string]string, error) {
	all := map[string]string{}
	var errs []error
	for _, label := range labels {
		key, value, ok := strings.Cut(label, "=")
		if !ok || key == "" {
			errs = append(errs, fmt.Errorf("label %q: want KEY=VALUE", label))
		}
		all[key] = value
	}
	return all, errors.Join(errs...)
}
