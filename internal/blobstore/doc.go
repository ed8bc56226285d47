// Package blobstore keeps layers, configs and manifests by digest, tags by name, and cache snapshots, in one bucket of
// gocloud.dev/blob: a directory, memory, or with the build tag cloud a bucket of Google's or S3's.
//
//	blobs/sha256/<hex>       Put, Open       written once; damaged content is replaced
//	tags/<sha256 of name>    SetTag, Tag     JSON, replaced when the tag moves
//	cache/<scope>/<serial>   Cache           the newest 16 snapshots of each scope
//	probe                    Ready           written to see that the bucket can be
//
// Every write goes through a temporary file, which is hashed while it is written, and one commit, which is atomic. Every whole read is
// verified against its digest. The package knows nothing of image names, HTTP or Nix.
//
// The invariant: a digest's key exists only with the whole content of that digest, and is never removed. So a client that has a digest
// can go on pulling it, whatever is built meanwhile.
package blobstore
