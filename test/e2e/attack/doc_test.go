//go:build e2e

// Package e2e plays the program from outside, as an attacker or a user in a hurry would: each file is a story of its own, with a
// secret that is planted or a promise that is tempting to break, and ends by looking everywhere. What is looked at is what
// others see: exit codes, tags and blobs of docker's registry, logs, outputs and pages of a step. Wording is not.
//
// Nothing of the program is imported: it is built, and run with real Nix, git, docker-registry and act.
package attack
