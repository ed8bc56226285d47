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
func (s *Stats) AddTag(t publish.Tagging) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tagged == nil {
		s.tagged = map[string]publish.Tagging{}
	}
	s.tagged[t.Tag.Name()] = t
	if s.log != nil {
		s.log.Debug("tag: " + t.String())
	}
}

// Stored takes a repository that has an image, by digest.
func (s *Stats) AddImage(repository name.Repository, digest v1.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored = append(s.stored, location{repository.Name(), digest})
}

func (s *Stats) tagging(tag name.Tag) (publish.Tagging, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tagged[tag.Name()]
	return t, ok
}

func (s *Stats) has(repository name.Repository, digest v1.Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.stored, location{repository.Name(), digest})
}

func (s *Stats) anyStored() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stored) > 0
}

// deliver notes that a destination has everything.
func (s *Stats) deliver(d Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := report.Published{Kind: d.Kind, Path: d.Path, Names: []string{}}
	for _, names := range d.Names {
		for _, tag := range names.Tags {
			p.Names = append(p.Names, tag.Name())
		}
		for _, repository := range names.Repositories {
			p.Names = append(p.Names, repository.Name())
		}
	}
	s.done = append(s.done, p)
}

func (s *Stats) published() []report.Published {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.done)
}

func (s *Stats) delivered(d Delivery) bool {
	return slices.ContainsFunc(s.published(), func(p report.Published) bool { return p.Kind == d.Kind && p.Path == d.Path })
}

// warnOfDelivered says what stays when a later destination fails.
func (s *Stats) warnOfDelivered() {
	for _, p := range s.published() {
		s.log.Warn("already published, and it stays: " + strings.TrimSpace("type="+string(p.Kind)+" "+p.Path))
	}
}

// partial reports what was published by a run that failed; nil if nothing was.
func (j *job) partial(made []built) *Report {
	if made == nil || len(j.stats.published()) == 0 && !j.stats.anyStored() {
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
			t, ok := j.stats.tagging(tag)
			pushed := d.Kind == report.ToRegistry && ok && t.Outcome.Set()
			if (pushed || d.Kind == report.ToDaemon && j.stats.delivered(d)) && !slices.Contains(tags, tag.Name()) {
				tags = append(tags, tag.Name())
			}
		}
		for _, repository := range names.repositories() {
			if d.Kind == report.ToRegistry && j.stats.has(repository, digest) {
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
			t, ok := j.stats.tagging(tag)
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
