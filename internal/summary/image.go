package summary

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/report"
)

// image writes the section of one image: digest, tags, sizes, changes, how to pull.
func (p *pen) image(page Page, i, rows int) {
	r := page.Report
	img := r.Images[i]
	if len(r.Images) > 1 {
		p.printf("\n#### %s\n", p.text(img.Name))
	}
	p.printf("\n%s\n", p.code(byDigest(img)))
	cost := reuseOf(r, i)
	p.printf("\n%s %s\n", cost.bar(), cost)
	if i < len(r.Run.Images) {
		p.tags(r.Run.Images[i].Tags, rows)
	}
	if i < len(r.Run.Images) && r.Run.Images[i].Changes != nil {
		p.changes(*r.Run.Images[i].Changes, rows)
	}
	if pushed(r, i) {
		p.pull(img)
	}
	p.layers(r, i, rows)
}

// reuse divides an image's bytes into those that existed and those that were built or uploaded.
type reuse struct {
	layers, reused int
	bytes, saved   int64
}

func reuseOf(r *report.Report, i int) (u reuse) {
	came := cameOf(r, i)
	seen := map[string]bool{}
	for _, platform := range r.Images[i].Platforms {
		for _, layer := range platform.Layers {
			digest := layer.Digest.String()
			if seen[digest] {
				continue
			}
			seen[digest] = true
			u.layers++
			u.bytes += layer.Size
			if came[digest].Reused() {
				u.reused++
				u.saved += layer.Size
			}
		}
	}
	return u
}

func cameOf(r *report.Report, i int) map[string]report.LayerStatus {
	came := map[string]report.LayerStatus{}
	if i < len(r.Run.Images) {
		for _, layer := range r.Run.Images[i].Layers {
			came[layer.Digest.String()] = layer.Status
		}
	}
	return came
}

func (u reuse) String() string {
	return fmt.Sprintf("%d %% reused: %s of %s, %d of %s", u.percent(), progress.Size(u.saved), progress.Size(u.bytes), u.reused, plural(u.layers, "layer"))
}

// percent is 100 only if nothing is new.
func (u reuse) percent() int64 {
	if u.bytes == 0 {
		return 0
	}
	return u.saved * 100 / u.bytes
}

// bar is twenty blocks; GitHub shows neither styles nor SVG.
func (u reuse) bar() string {
	full := int(u.percent() / 5)
	return strings.Repeat("█", full) + strings.Repeat("░", 20-full)
}

// pushed reports whether a registry has the image, and so its layers.
func pushed(r *report.Report, i int) bool {
	return i < len(r.Run.Images) && slices.ContainsFunc(r.Run.Images[i].Layers, func(l report.LayerRun) bool {
		return l.Status == report.Existing || l.Status == report.Mounted || l.Status == report.Uploaded
	})
}

// safe are words that mean nothing to Markdown or a shell: all that references consist of.
var safe = regexp.MustCompile(`^[A-Za-z0-9._:/@\[\]-]+$`)

// byDigest is the reference that never means another image, or the digest of one that no registry has.
func byDigest(img report.Image) string {
	if repository := repositoryOf(img); repository != "" {
		return repository + "@" + img.Digest.String()
	}
	return img.Digest.String()
}

// repositoryOf returns the first repository that has the image; empty if none has.
func repositoryOf(img report.Image) string {
	switch {
	case len(img.Tags) > 0:
		return withoutTag(img.Tags[0])
	case len(img.Repositories) > 0:
		return img.Repositories[0]
	}
	return ""
}

// pull writes the commands that pull the image, or one platform of it.
func (p *pen) pull(img report.Image) {
	repository := repositoryOf(img)
	if !safe.MatchString(repository) {
		return
	}
	lines := []string{"docker pull " + byDigest(img)}
	if len(img.Platforms) > 1 {
		for _, platform := range img.Platforms {
			lines = append(lines, fmt.Sprintf("docker pull %s@%s  # %s only", repository, platform.Digest, platform.Platform))
		}
	}
	text := p.hide(strings.Join(lines, "\n"))
	if strings.Contains(text, "`") {
		return
	}
	defer p.fold("How to pull it", false)()
	p.printf("\n```sh\n%s\n```\n", text)
}

// withoutTag is the repository of a tag, which follows the last colon behind the last slash.
func withoutTag(tag string) string {
	if colon := strings.LastIndexByte(tag, ':'); colon > strings.LastIndexByte(tag, '/') {
		return tag[:colon]
	}
	return tag
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func duration(seconds float64) string {
	if seconds < 60 {
		return fmt.Sprintf("%.1f s", seconds)
	}
	whole := int(seconds + 0.5)
	return fmt.Sprintf("%d min %d s", whole/60, whole%60)
}
