package image

// What TestBytes holds. Read its comment before you change a digit.
const (
	goldenImage    = "daa1d6892af5c97eebce034f7a82011bd55d720afe65fe28036de1d28e4d6f24"
	goldenIndex    = "782179af6653a0d6255df15cac6fbd008691c65592411e7ff5ff5a4f80a6b098"
	goldenOCIImage = "1316905f2633fedd3e7905d0573e6a07004441d34a8f65e26ca652f2e939bd10"
	goldenOCIIndex = "a9caf9b32f04c85761779f2f6b52871f136a4aca2470df0ef23ff154fc409eb6"
)
