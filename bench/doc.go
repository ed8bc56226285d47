// Package bench compares this project's planner with those of other tools, and its packing with one thread of compress/gzip.
//
// The contest plans real closures with each planner, changes them, and adds up the bytes of all layers that change:
//
//	closures of testdata × (app changed, library changed, bump, package added, …, fleet) × 8 planners × 3 budgets  ▶  a table of ratios
//
// The package imports only what internal/layers exports; the planners of the other tools are written after their sources, on a graph of
// its own. All code is in tests, so that no program contains it. The benchmarks take tens of seconds: make bench-plan and make bench run
// them, and a job of CI; go test ./... runs only the quick tests of the planners and of the arithmetic.
package bench
