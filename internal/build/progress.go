package build

import (
	"fmt"
	"strings"

	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/progress"
)

// Hear takes what Nix prints, a line at a time. The stage that is under way shows it, unless
// Nix says how far it is.
func (b *Builder) NixLine(line string) {
	b.Log.Debug(line)
	if stage := b.stage.Load(); stage != nil && b.progress.Load() == nil {
		stage.Status(line)
	}
}

// Follow takes how far Nix is, and shows it with the stage that is under way.
func (b *Builder) NixProgress(p nixbuild.Progress) {
	b.progress.Store(&p)
	text := farText(p)
	if stage := b.stage.Load(); stage != nil && text != "" {
		stage.Status(text)
	}
}

func (b *Builder) begin(name string) *progress.Stage {
	stage := b.Display.Stage(name)
	b.stage.Store(stage)
	b.progress.Store(nil)
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
func (b *Builder) realised(packages int) string {
	text := fmt.Sprintf("%d packages", packages)
	p := b.progress.Load()
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
