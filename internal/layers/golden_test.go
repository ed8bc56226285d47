package layers

import v1 "github.com/google/go-containerregistry/pkg/v1"

func sha(hex string) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: hex} }

// What TestBytes and TestRootBytes hold. Read their comments before you change
// a digit.
var (
	goldenTar     = sha("36b16837fe2e7fc4eceeaeba2928207b39900e9bfd7b12ae16cf387a4b338619")
	goldenGzip    = Record{DiffID: goldenTar, Digest: sha("9d38729afa2a0ef881a70f1d37776ff8d35ad9ea7dde41a50989e2fa14f85d81"), Size: 1721470}
	goldenGzipKey = Key("00ba9855085cd9cb43bd33471178ff487935a8d221da075593b147b25c45379a")
	goldenZstd    = Record{DiffID: goldenTar, Digest: sha("aeec68be16b1531c8d350432212abcff9b6c8fce8e3fab29ea3faa4e0208d9b6"), Size: 1993355}
	goldenZstdKey = Key("6ef004c792bd8fb06022b8b3d611786acd1018d1da8a529f0047a339c2087ba0")
	goldenRoot    = Record{DiffID: sha("f19e520040383d0af4ff6c148e68848709ff918a0616193b6eb83f3e2b4069cd"), Digest: sha("0c657e21fe00528d1778af8738fca0b33c27cd566e7c9bef6bbdda604b32f8f2"), Size: 688}
)
