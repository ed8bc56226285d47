// Package serve is a registry that builds what is pulled: the image shell/git/htop has these packages, and is built by the first pull.
//
// One pull of shell/git/htop:latest, from top to bottom:
//
//	GET /v2/shell/git/htop/manifests/latest    Handler: a path is parsed by package route, then one method a route
//	  ▼
//	name      readName, queryOf     packages, tag, platforms and format; --allow and the grammar refuse others   403, 404
//	  ▼
//	answer    recent.look           the digest, if the tag was resolved lately: in memory or in the blobstore
//	  ▼ no answer
//	build     builds.join           equal queries share one build; clients take turns for a slot                 429
//	  ▼
//	pin       verifyCommit, pins    the tag's commit, verified to be on a branch of the package source           404
//	  ▼
//	image     package build         evaluate ▶ realise ▶ plan ▶ assemble ▶ publish into the blobstore            404, 500
//	  ▼
//	tag       recent.keep           the digest is stored under the tag
//	  ▼
//	200       writeManifest         the manifest; the client then GETs its blobs from the blobstore, by digest
//
// The package is apart from the build because it takes requests of strangers: each is checked against a grammar before anything is
// done about it.
//
// The invariant: a digest that was returned once stays available, with the bytes that it is of.
package serve
