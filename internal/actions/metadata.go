package actions

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// partOf takes a list out of the json output of docker/metadata-action: an object whose
// tags and annotations are lists, and whose labels are an object
// (https://github.com/docker/metadata-action, getJSON in src/meta.ts).
func partOf(text, name string) ([]string, error) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &parts); err != nil {
		return nil, fmt.Errorf("it begins as JSON, but is none: %w", err)
	}
	part, ok := parts[name]
	if !ok {
		return nil, fmt.Errorf("the JSON has no key %q; want the output json of docker/metadata-action, or a list", name)
	}
	var list []string
	if json.Unmarshal(part, &list) == nil {
		return list, nil
	}
	var pairs map[string]string
	if json.Unmarshal(part, &pairs) == nil {
		for _, key := range slices.Sorted(maps.Keys(pairs)) {
			list = append(list, key+"="+pairs[key])
		}
		return list, nil
	}
	return nil, errors.New("its part of the JSON is neither a list of strings nor an object of strings")
}
