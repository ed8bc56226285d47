package build

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/spec"
)

// configOf returns an image's configuration: that of the spec over the defaults.
// An entrypoint removes the default command, as in a Dockerfile:
// https://docs.docker.com/reference/dockerfile/#understand-how-cmd-and-entrypoint-interact
func configOf(c spec.Config, w TargetPlatform) v1.Config {
	config := image.Defaults(w.Shell, w.has("cacert"))
	image.SetEnv(&config, c.Env)
	if c.Entrypoint != nil {
		config.Entrypoint, config.Cmd = c.Entrypoint, nil
	}
	if c.Cmd != nil {
		config.Cmd = c.Cmd
	}
	config.WorkingDir = c.WorkingDir
	config.User = c.User
	config.ExposedPorts = set(c.ExposedPorts)
	config.Volumes = set(c.Volumes)
	config.Labels = c.Labels
	config.StopSignal = c.StopSignal
	return config
}

func set(all []string) map[string]struct{} {
	if len(all) == 0 {
		return nil
	}
	m := make(map[string]struct{}, len(all))
	for _, s := range all {
		m[s] = struct{}{}
	}
	return m
}
