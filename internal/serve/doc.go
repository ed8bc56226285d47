// Package serve turns names into images: who pulls shell/git/htop gets an image of these packages, made when it is first asked
// for. A name becomes an order, the pipeline brings the image into the depot, and what clients fetch is read from there: there is
// no second way to build.
//
// It stands apart because it is the one part that strangers speak to: what a request says is checked against a grammar before
// anything is done about it.
//
// The invariant: a digest that was handed out stays served, with the bytes that it is of.
package serve
