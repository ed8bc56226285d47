// Package layers turns a closure into container layers.
//
// [Plan] divides the store paths of a closure into groups: a pure function of
// graph, sizes, counts and budget. A [Packer] makes each group a [Layer], a
// v1.Layer whose bytes are made only when somebody reads them, and whose bytes
// depend on the group alone: not on the machine, the number of cores, the time
// or a cache.
//
// The invariant: equal groups have equal keys, and equal keys have equal bytes.
// What fixes the bytes is gathered under [FormatVersion]; tests hold digest
// constants for it.
package layers

// FormatVersion names the set of rules that fix the bytes of a layer: tar
// format, member size, compressor, root layer. It is part of every key; a
// change of any byte is a change of this number.
const FormatVersion = 1
