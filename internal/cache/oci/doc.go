// Package oci stores cache entries as OCI artifacts in a repository of a
// registry. A scope is a tag; the entry's name is an annotation of its manifest:
// https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md#guidelines-for-artifact-usage
package oci
