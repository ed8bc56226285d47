// Package nixbuild turns names of packages into store paths that exist, and
// store paths into their closure: [Evaluate], [Realise], [QueryClosure]. [Pin]
// tells first what a moving source of packages stands for.
//
// It is the only package that runs a process, so all that depends on the Nix at
// hand (its versions, its messages, its absence) ends here; what leaves are
// values that were checked.
//
// Names of packages, and everything else that a user wrote, reach Nix as data,
// never as source text.
package nixbuild
