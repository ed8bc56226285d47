// Package nixinstall turns a release's tarball into a Nix that runs, on a
// machine that has none: found or downloaded, verified, unpacked, registered,
// and linked as the default profile. [Runner] does so when Nix is first called.
//
// It stands apart because nothing else may change the machine: who only builds
// with the Nix at hand needs none of it.
//
// The invariant: a /nix with anything in it is never touched, and an
// installation that does not end well leaves nothing behind.
package nixinstall
