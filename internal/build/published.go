package build

import (
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/report"
)

// Tagged takes what became of a tag.
func (m *Stats) AddTag(t publish.Tagging) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tagged == nil {
		m.tagged = map[string]publish.Tagging{}
	}
	m.tagged[t.Tag.Name()] = t
	if m.log != nil {
		m.log.Debug("tag: " + t.String())
	}
}

// Stored takes a repository that has an image, by digest.
func (m *Stats) AddImage(repository name.Repository, digest v1.Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stored = append(m.stored, location{repository.Name(), digest})
}

func (m *Stats) tagging(tag name.Tag) (publish.Tagging, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tagged[tag.Name()]
	return t, ok
}

func (m *Stats) has(repository name.Repository, digest v1.Hash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.stored, location{repository.Name(), digest})
}

func (m *Stats) anyStored() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.stored) > 0
}

// deliver notes that a destination has everything.
func (m *Stats) deliver(d Delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := report.Published{Kind: d.Kind, Path: d.Path, Names: []string{}}
	for _, names := range d.Names {
		for _, tag := range names.Tags {
			p.Names = append(p.Names, tag.Name())
		}
		for _, repository := range names.Repositories {
			p.Names = append(p.Names, repository.Name())
		}
	}
	m.done = append(m.done, p)
}

func (m *Stats) published() []report.Published {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.done)
}

func (m *Stats) delivered(d Delivery) bool {
	return slices.ContainsFunc(m.published(), func(p report.Published) bool { return p.Kind == d.Kind && p.Path == d.Path })
}

// warnOfDelivered says what stays when a later destination fails.
func (m *Stats) warnOfDelivered() {
	for _, p := range m.published() {
		m.log.Warn("already published, and it stays: " + strings.TrimSpace("type="+string(p.Kind)+" "+p.Path))
	}
}

// partial reports what was published by a run that failed; nil if nothing was.
func (j *job) partial(made []built) *Report {
	if made == nil || len(j.meter.published()) == 0 && !j.meter.anyStored() {
		return nil
	}
	run := j.account(made)
	run.Incomplete = true
	r, err := j.describe(made)
	if err != nil {
		j.Log.Warn("what was published cannot be reported", "cause", err)
		return nil
	}
	r.Run = run
	return r
}

// named are the references that one image has now, and the repositories that have it.
func (j *job) named(image int, digest v1.Hash) (tags, repositories []string) {
	tags = []string{}
	for _, d := range j.dests {
		names := d.of(image)
		for _, tag := range names.Tags {
			t, ok := j.meter.tagging(tag)
			pushed := d.Kind == report.ToRegistry && ok && t.Outcome.Set()
			if (pushed || d.Kind == report.ToDaemon && j.meter.delivered(d)) && !slices.Contains(tags, tag.Name()) {
				tags = append(tags, tag.Name())
			}
		}
		for _, repository := range names.repositories() {
			if d.Kind == report.ToRegistry && j.meter.has(repository, digest) {
				repositories = append(repositories, repository.Name())
			}
		}
	}
	return tags, repositories
}

// tagRuns says what became of an image's tags in registries. Those that were not reached are untried.
func (j *job) tagRuns(image int) []report.TagRun {
	var all []report.TagRun
	for _, d := range j.dests {
		if d.Kind != report.ToRegistry {
			continue
		}
		for _, tag := range d.of(image).Tags {
			t, ok := j.meter.tagging(tag)
			if !ok {
				t = publish.Tagging{Tag: tag, Outcome: publish.Untried}
			}
			all = append(all, tagRun(t))
		}
	}
	return all
}

func tagRun(t publish.Tagging) report.TagRun {
	r := report.TagRun{Tag: t.Tag.Name(), Outcome: string(t.Outcome)}
	if t.Asked && t.From != (v1.Hash{}) {
		r.From = t.From.String()
	}
	if t.Err != nil {
		r.Error = t.Err.Error()
	}
	return r
}
