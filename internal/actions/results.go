package actions

import "slices"

// Outputs are the action's outputs, as text. [OutputTable] says what each one means.
type Outputs struct {
	Digest, ImageID, Digests, Tags, CacheHit, Metadata, JSON string
}

// Output is a row of the table of outputs.
type Output struct {
	Name        string
	Description string // plain text without Markdown

	value func(Outputs) string
}

// OutputTable returns a row for each output, in the order in which people read them.
func OutputTable() []Output { return slices.Clone(outputTable) }

var outputTable = []Output{
	{
		Name:        "digest",
		Description: "The digest of the index, or of the image if there is one platform; empty if there are several images.",
		value:       func(o Outputs) string { return o.Digest },
	}, {
		Name:        "imageid",
		Description: "The digest of the image's config if there is one platform, else the same as digest.",
		value:       func(o Outputs) string { return o.ImageID },
	}, {
		Name:        "digests",
		Description: "The digest of each platform's image, as a JSON object; if there are several images, an object of such objects, by the images' names.",
		value:       func(o Outputs) string { return o.Digests },
	}, {
		Name: "tags",
		Description: "The references that the images have now, one a line: those that were pushed to a registry or loaded into docker's daemon. " +
			"Where some tags could not be set, it has those that were, though the step fails.",
		value: func(o Outputs) string { return o.Tags },
	}, {
		Name: "cache-hit",
		Description: "true if no layer was made, because earlier runs told of all of them; else false. It says nothing of what was sent: " +
			"a registry that is new gets all layers.",
		value: func(o Outputs) string { return o.CacheHit },
	}, {
		Name: "metadata",
		Description: "As docker/build-push-action has it, a JSON object with containerimage.digest, containerimage.descriptor, image.name, and for one platform " +
			"containerimage.config.digest; if there are several images, an object of such objects, by the images' names.",
		value: func(o Outputs) string { return o.Metadata },
	}, {
		Name: "json",
		Description: "All that is known of the images: digests, sizes, layers with their store paths, and the commit that a channel or branch stood for. " +
			"Layers are left out where they would be too much for an output; a metadata-file has them.",
		value: func(o Outputs) string { return o.JSON },
	},
}
