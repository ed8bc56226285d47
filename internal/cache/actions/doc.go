// Package actions stores cache entries in the GitHub Actions cache: version 2
// of github.com, and version 1 of GitHub Enterprise Server and act. PROTOCOL.md
// in the parent directory describes both.
//
// The runner gives the addresses and the token in environment variables, see
// [FromEnvironment]. Signed URLs are credentials and appear in no error.
package actions
