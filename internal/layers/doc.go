// Package layers turns a closure into container layers.
//
// [Plan] divides the store paths of a closure into groups: a pure function of
// graph, sizes, counts and budget. A [Packer] turns each group into a [Layer], a
// v1.Layer that packs its bytes only when they are read. The bytes depend on the
// group alone: not on the machine, the number of cores, the time or a cache.
//
//	closure ──Plan──▶ groups ──Packer.Layer──▶ layers ──Compressed──▶ tar, in chunks, gzip or zstd
//	   └──────────────────────Packer.Root───▶ root layer: links from / into the store
//
// The invariant: equal groups have equal keys, and equal keys have equal bytes.
// [FormatVersion] names the rules that fix the bytes; tests hold digest
// constants for them.
package layers

// FormatVersion names the set of rules that fix the bytes of a layer: tar
// format, chunk size, compressor, root layer. It is part of every key; a
// change of any byte is a change of this number.
const FormatVersion = 1
