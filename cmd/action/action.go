package main

import (
	"encoding/json"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/pipeline"
)

// maxOutput is how much JSON an output may hold. The runner refuses steps whose
// outputs exceed 1 MiB; see docs.github.com, "Defining outputs for jobs".
const maxOutput = 512 << 10

func newAction(c *console) *cobra.Command {
	return &cobra.Command{
		Use:    "action",
		Short:  "Run as a step of a workflow: inputs and outputs are those of action.yml",
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			inputs, err := actions.ReadInputs(os.Getenv)
			if err != nil {
				return err
			}
			service, err := takeEnvironment()
			if err != nil {
				return err
			}
			report, err := build(cmd.Context(), c, buildOptions{
				file:        inputs.File,
				tags:        inputs.Tags,
				platforms:   inputs.Platforms,
				push:        inputs.Push,
				outputs:     inputs.Outputs,
				labels:      inputs.Labels,
				cacheFrom:   inputs.CacheFrom,
				cacheTo:     inputs.CacheTo,
				noCache:     inputs.NoCache,
				verify:      inputs.Verify,
				githubToken: inputs.GitHubToken,
				service:     service,
			})
			if err != nil {
				return err
			}
			return setOutputs(c.env.OutputFile, report)
		},
	}
}

// takeEnvironment takes the step's inputs and tokens away from what Nix runs:
// builders see the environment where there is no sandbox. What it took can
// still be looked up.
func takeEnvironment() (func(string) string, error) {
	taken := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "INPUT_") || strings.HasPrefix(name, "ACTIONS_") {
			taken[name] = value
			if err := os.Unsetenv(name); err != nil {
				return nil, err
			}
		}
	}
	return func(name string) string { return taken[name] }, nil
}

// setOutputs tells the workflow what was made. With several images there is no
// one digest: metadata has all of them.
func setOutputs(file string, r *pipeline.Report) error {
	if file == "" {
		return nil
	}
	metadata, err := metadataOf(r)
	if err != nil {
		return err
	}
	outputs := map[string]string{"metadata": metadata, "tags": strings.Join(tagsOf(r), "\n")}
	if len(r.Images) == 1 {
		img := r.Images[0]
		outputs["digest"], outputs["imageid"] = img.Digest.String(), imageID(img)
		if outputs["digests"], err = digestsOf(img); err != nil {
			return err
		}
	}
	return actions.SetOutputs(file, outputs)
}

// metadataOf is the report as JSON, without layers where that would be too much.
func metadataOf(r *pipeline.Report) (string, error) {
	data, err := json.Marshal(r)
	if err != nil || len(data) <= maxOutput {
		return string(data), err
	}
	data, err = json.Marshal(r.WithoutLayers())
	return string(data), err
}

// imageID is what docker calls so: the config's digest, or that of the index.
func imageID(img pipeline.ImageReport) string {
	if len(img.Platforms) == 1 {
		return img.Platforms[0].Config.String()
	}
	return img.Digest.String()
}

func digestsOf(img pipeline.ImageReport) (string, error) {
	digests := map[string]string{}
	for _, p := range img.Platforms {
		digests[p.Platform] = p.Digest.String()
	}
	data, err := json.Marshal(digests)
	return string(data), err
}

func tagsOf(r *pipeline.Report) []string {
	var tags []string
	for _, img := range r.Images {
		tags = append(tags, img.Tags...)
	}
	return tags
}
