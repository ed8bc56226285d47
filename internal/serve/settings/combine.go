package settings

import (
	"errors"
	"fmt"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/internal/spec"
)

// packageSources are the settings that say where packages come from, and the key of a spec that each is.
var packageSources = []struct{ setting, key string }{{"channel", "channel"}, {"pkgs-repo", "git"}, {"pkgs-path", "path"}}

// nixpkgs sets the package source: that of the strongest source of settings. The spec's own grammar checks it.
func (d *draft) nixpkgs() {
	best := value{Texts: []string{"nixos-unstable"}, Place: "default of channel"}
	key, setting := "channel", "channel"
	for _, packages := range packageSources {
		v, ok := d.given(packages.setting)
		switch {
		case !ok || len(v.Texts) != 1 || v.Source < best.Source:
		case v.Source == best.Source:
			d.check(v.Place, fmt.Errorf("there is %s already; packages come from one place", best.Place))
			return
		default:
			best, key, setting = v, packages.key, packages.setting
		}
	}
	var err error
	if d.Nixpkgs, err = parseNixpkgs(key, best.Texts[0]); err != nil {
		d.check(best.Place, fmt.Errorf("%s: %w", setting, err))
	}
}

// parseNixpkgs reads a value as a spec would.
func parseNixpkgs(key, value string) (spec.Nixpkgs, error) {
	var written any = value
	switch key {
	case "git":
		written = map[string]string{"url": value}
	case "path":
		path, err := filepath.Abs(value)
		if err != nil {
			return spec.Nixpkgs{}, err
		}
		written = path
	}
	text, err := yaml.Marshal(map[string]any{"packages": []string{"hello"}, "nixpkgs": map[string]any{key: written}})
	if err != nil {
		return spec.Nixpkgs{}, fmt.Errorf("writing as YAML: %w", err)
	}
	s, err := spec.Parse("nixery.yaml", text, nil)
	if errs, ok := errors.AsType[spec.Errors](err); ok && len(errs) > 0 {
		return spec.Nixpkgs{}, errors.New(errs[0].Message)
	}
	if err != nil {
		return spec.Nixpkgs{}, err
	}
	from := s.Nixpkgs
	from.Pos = spec.Position{} // the spec above has no reader
	return from, nil
}

// storage sets the location of blobs, or makes it of Nixery's variables, which count only if --storage is not given:
//
//	NIXERY_STORAGE_BACKEND=s3 S3_BUCKET=images AWS_REGION=eu-west-1 ▶ s3://images?region=eu-west-1
func (d *draft) storage() {
	if v, ok := d.given("storage"); ok {
		d.Storage = v.Texts[0]
		return
	}
	backend, ok := d.given("NIXERY_STORAGE_BACKEND")
	if !ok {
		d.errs = append(d.errs, errors.New("storage: say where blobs are to be kept, as --storage ./blobs"))
		return
	}
	variable := map[string]string{"filesystem": "STORAGE_PATH", "gcs": "GCS_BUCKET", "s3": "S3_BUCKET"}[backend.Texts[0]]
	if variable == "" {
		return // it was reported already
	}
	at, ok := d.given(variable)
	if !ok {
		d.check(backend.Place, fmt.Errorf("%s needs $%s", backend.Texts[0], variable))
		return
	}
	switch d.Storage = at.Texts[0]; variable {
	case "GCS_BUCKET":
		d.Storage = "gs://" + d.Storage
	case "S3_BUCKET":
		region, _ := d.koanf.Get("AWS_REGION").(value) // it has a default
		d.Storage = "s3://" + d.Storage + "?region=" + region.Texts[0]
	}
}
