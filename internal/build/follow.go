package build

import (
	"fmt"
	"strings"

	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/progress"
)

// Hear takes what Nix prints, a line at a time. The stage that is under way shows it, unless
// Nix says how far it is.
func (l *Builder) NixLine(line string) {
	l.Log.Debug(line)
	if stage := l.now.Load(); stage != nil && l.far.Load() == nil {
		stage.Status(line)
	}
}

// Follow takes how far Nix is, and shows it with the stage that is under way.
func (l *Builder) NixProgress(p nixbuild.Progress) {
	l.far.Store(&p)
	text := farText(p)
	if stage := l.now.Load(); stage != nil && text != "" {
		stage.Status(text)
	}
}

func (l *Builder) begin(name string) *progress.Stage {
	stage := l.Display.Stage(name)
	l.now.Store(stage)
	l.far.Store(nil)
	return stage
}

// farText is as "12/40 downloaded, 31.0 MB of 120.0 MB, 1/2 built, building openssl-3.0.15".
func farText(p nixbuild.Progress) string {
	var parts []string
	if p.Fetch > 0 {
		parts = append(parts, fmt.Sprintf("%d/%d downloaded", p.Fetched, p.Fetch))
	}
	switch {
	case p.AllBytes > 0:
		parts = append(parts, progress.Size(p.Bytes)+" of "+progress.Size(p.AllBytes))
	case p.Bytes > 0:
		parts = append(parts, progress.Size(p.Bytes))
	}
	if p.Builds > 0 {
		parts = append(parts, fmt.Sprintf("%d/%d built", p.Built, p.Builds))
	}
	if p.Doing != "" {
		parts = append(parts, p.Doing)
	}
	return strings.Join(parts, ", ")
}

// realised says at the end what it took.
func (l *Builder) realised(packages int) string {
	text := fmt.Sprintf("%d packages", packages)
	p := l.far.Load()
	if p == nil {
		return text
	}
	if p.Fetched > 0 {
		text += fmt.Sprintf(", %d store paths downloaded, %s", p.Fetched, progress.Size(p.Bytes))
	}
	if p.Built > 0 {
		text += fmt.Sprintf(", %d built", p.Built)
	}
	return text
}
