package settings

import (
	"errors"
	"fmt"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/internal/spec"
)

// sources are the settings that say where packages come from, and the key of a spec that each is.
var sources = []struct{ setting, key string }{{"channel", "channel"}, {"pkgs-repo", "git"}, {"pkgs-path", "path"}}

// nixpkgs takes the source that was said in the strongest place. The spec's own grammar checks it.
func (d *draft) nixpkgs() {
	var best said
	var key, setting string
	for _, source := range sources {
		s, ok := d.said[source.setting]
		switch {
		case !ok || s.rank < best.rank:
		case s.rank == best.rank:
			d.fail(s.origin, fmt.Errorf("there is %s already; packages come from one place", best.origin))
			return
		default:
			best, key, setting = s, source.key, source.setting
		}
	}
	if best.rank == 0 || len(best.values) != 1 {
		best, key, setting = said{values: []string{"nixos-unstable"}, origin: "default of channel"}, "channel", "channel"
	}
	from, err := source(key, best.values[0])
	if err != nil {
		d.fail(best.origin, fmt.Errorf("%s: %w", setting, err))
	}
	d.Nixpkgs = from
}

// source reads a value as a spec would.
func source(key, value string) (spec.Nixpkgs, error) {
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
	from.Pos = spec.Position{} // nobody has seen this spec
	return from, nil
}

// storage takes a location, or makes one of Nixery's variables, which count only if there is none.
func (d *draft) storage() {
	if s, ok := d.said["storage"]; ok {
		if len(s.values) == 1 {
			d.Storage = s.values[0]
		}
		return
	}
	backend, ok := d.said["NIXERY_STORAGE_BACKEND"]
	if !ok {
		d.errs = append(d.errs, errors.New("storage: say where blobs are to be kept, as --storage ./depot"))
		return
	}
	variable := map[string]string{"filesystem": "STORAGE_PATH", "gcs": "GCS_BUCKET", "s3": "S3_BUCKET"}[backend.values[0]]
	if variable == "" {
		return // it was told already
	}
	at, ok := d.said[variable]
	if !ok {
		d.fail(backend.origin, fmt.Errorf("%s needs $%s", backend.values[0], variable))
		return
	}
	switch backend.values[0] {
	case "gcs":
		d.Storage = "gs://" + at.values[0]
	case "s3":
		d.Storage = "s3://" + at.values[0] + "?region=" + d.region()
	default:
		d.Storage = at.values[0]
	}
}

func (d *draft) region() string {
	if s, ok := d.said["AWS_REGION"]; ok {
		return s.values[0]
	}
	return "us-east-1"
}
