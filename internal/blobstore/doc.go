// Package depot turns bytes into blobs that stay: layers, configs and manifests by digest, tags by name, and the cache's ledgers, all
// in one bucket of gocloud.dev/blob, which is a folder, memory, or with the build tag cloud a bucket of Google's or of S3's.
//
// It stands apart because serving needs what publishing does not: to give back what was published, from any process that has
// the same bucket. It knows nothing of names, HTTP or Nix.
//
// The invariant: a digest's name exists only with the whole content that has this digest, and once there it is never written
// again or removed. So whoever was told a digest can go on pulling it, whatever is built meanwhile.
package blobstore
