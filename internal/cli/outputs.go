package cli

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/report"
)

// maxOutput is how much JSON an output may hold. The runner refuses steps whose
// outputs exceed 1 MiB; see docs.github.com, "Defining outputs for jobs".
const maxOutput = 512 << 10

// setOutputs tells the workflow what was made. With several images there is no
// one digest.
func setOutputs(file string, r *build.Report) error {
	if file == "" {
		return nil
	}
	outputs := actions.Outputs{Tags: strings.Join(tagsOf(r), "\n"), CacheHit: strconv.FormatBool(r.Run.CacheHit)}
	if len(r.Images) == 1 {
		outputs.Digest, outputs.ImageID = r.Images[0].Digest.String(), imageID(r.Images[0])
	}
	for into, value := range map[*string]any{&outputs.Digests: digestsOf(r), &outputs.Metadata: metadataOf(r), &outputs.JSON: r} {
		data, err := json.Marshal(value)
		if err != nil {
			return err
		}
		*into = string(data)
	}
	if len(outputs.JSON) > maxOutput {
		data, err := json.Marshal(r.WithoutLayers())
		if err != nil {
			return err
		}
		outputs.JSON = string(data)
	}
	return actions.SetOutputs(file, outputs)
}

// imageID is what docker calls so: the config's digest, or that of the index.
func imageID(img report.Image) string {
	if len(img.Platforms) == 1 {
		return img.Platforms[0].Config.String()
	}
	return img.Digest.String()
}

// digestsOf has the digest of each platform, for several images by their names.
func digestsOf(r *build.Report) any {
	return ofImages(r, func(img report.Image) map[string]string {
		digests := map[string]string{}
		for _, p := range img.Platforms {
			digests[p.Platform] = p.Digest.String()
		}
		return digests
	})
}

// ofImages is what there is to say of one image, or an object of that by the
// images' names, as docker/bake-action has it.
func ofImages[T any](r *build.Report, of func(report.Image) T) any {
	if len(r.Images) == 1 {
		return of(r.Images[0])
	}
	all := map[string]T{}
	for _, img := range r.Images {
		all[img.Name] = of(img)
	}
	return all
}

func tagsOf(r *build.Report) []string {
	var tags []string
	for _, img := range r.Images {
		tags = append(tags, img.Tags...)
	}
	return tags
}
