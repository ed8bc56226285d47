// Package stores opens the stores that cache-from and cache-to name.
//
// To add a store: write a package beside actions, dir and oci whose Store has
// the three methods of [cache.Store], pass cachetest.Contract in its tests, give
// its type and keys to location.go in package cache, and add its line to the
// switch of this package.
package stores
