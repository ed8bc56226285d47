package image

// What TestBytes holds. Read its comment before you change a digit.
const (
	goldenImage    = "003758406957645e8e636e612ab83314980620e58fb71c6d72ee09f134ef4e63"
	goldenIndex    = "c901bb0b3fdcf6ff885a90f7cb9ef58b487b76a29fe57fb9684514a173fe61b4"
	goldenOCIImage = "627f29ef70d731fe0952aea6951df3d2ab2a92ff03f05d2f4c717cc6842e74e3"
	goldenOCIIndex = "89e1543e03e12b7cb8a75d27a4d70dba45d18f911625d6ca2cfdb824c7c57a49"
)
