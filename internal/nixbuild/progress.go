package nixbuild

// Progress is how far a run of Nix has come, by its own account. Nix learns as it goes
// how much there is to do, so totals grow.
type Progress struct {
	Built, Builds   int    // derivations: done, and all that are to be built
	Fetched, Fetch  int    // store paths from elsewhere: there, and all that are to be fetched
	Bytes, AllBytes int64  // as they come over the network; AllBytes is 0 if Nix cannot tell
	Doing           string // what began last and is not done, as "building tiny-lib-1.2"; may be empty
}
