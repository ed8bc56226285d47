// Package cache turns what one run saved into entries that a later run, on another machine, finds again: a [History] of kilobytes
// for each scope, and with [Max] the layers' blobs.
//
// A [Store] keeps entries: each store is a package, actions, dir or oci, and package
// stores opens them and says how to add one. A [Cache] stands over the stores that a user
// named, and is where their faults end: as one line in the log for each kind.
//
// The invariant: nothing that a store does, says or returns can fail a build or change a digest. What comes back is either
// what was saved, or not found. PROTOCOL.md, beside this file, says what the Actions cache service really does.
package cache
