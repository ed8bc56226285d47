package image

// What TestBytes holds. Read its comment before you change a digit.
const (
	goldenImage    = "003758406957645e8e636e612ab83314980620e58fb71c6d72ee09f134ef4e63"
	goldenIndex    = "05e2e5f7d501ea2b5759cdd523681f3104ad32586869d3540be2f6ff21857d7c"
	goldenOCIImage = "627f29ef70d731fe0952aea6951df3d2ab2a92ff03f05d2f4c717cc6842e74e3"
	goldenOCIIndex = "a30d374c4554275f6ae00ac816665ad47f1e6cd68b34cdb80b8b1ae3b20a0dca"
)
