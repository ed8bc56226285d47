// Package dir stores cache entries as files of one directory, which several
// processes and machines may share. An entry <scope>-<serial> is written to a
// temporary file, synced, and linked to its name, so that readers see all of it
// or nothing.
package dir
