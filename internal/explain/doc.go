// Package explain turns a plan into what people and tools read of it: a table,
// JSON, a graph for Graphviz, and a page of HTML with a treemap. It also
// compares two plans, or two published images.
//
// It stands apart from layers, which decides, and from the command, which reads
// and writes files: here everything is a function of its arguments.
//
// The invariant: it shows the planner's own reasons ([layers.Explain]) and
// never plans by other rules; and names are data in every output, escaped.
package explain
