package build

import (
	"fmt"
	"strings"

	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/progress"
)

// NixLine logs a line that Nix printed. The stage under way shows it, unless Nix
// reports progress in numbers. It may be called from any goroutine.
func (b *Builder) NixLine(line string) {
	b.Log.Debug(line)
	if stage := b.stage.Load(); stage != nil && b.progress.Load() == nil {
		stage.Status(line)
	}
}

// NixProgress shows the progress of Nix with the stage under way. It may be called
// from any goroutine.
func (b *Builder) NixProgress(p nixbuild.Progress) {
	b.progress.Store(&p)
	text := farText(p)
	if stage := b.stage.Load(); stage != nil && text != "" {
		stage.Status(text)
	}
}

// begin starts a stage, which shows what Nix prints until the next one starts.
func (b *Builder) begin(name string) *progress.Stage {
	stage := b.Display.Stage(name)
	b.stage.Store(stage)
	b.progress.Store(nil)
	return stage
}

// farText formats progress, without what is zero: "12/40 downloaded, 31.0 MB of 120.0 MB, 1/2 built, building openssl-3.0.15".
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

// realised returns the last line of the stage:
// "4 packages, 12 store paths downloaded, 31.0 MB, 1 built".
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
