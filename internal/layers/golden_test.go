package layers

import v1 "github.com/google/go-containerregistry/pkg/v1"

func sha(hex string) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: hex} }

// What TestBytes and TestRootBytes hold. Read their comments before you change
// a digit.
var (
	goldenTar     = sha("eb29020124aa6139b38f22328e019204c3385c6309d8bd09d76bfda006160264")
	goldenGzip    = Record{DiffID: goldenTar, Digest: sha("1633cbe613f86ec44c48d67900333938ebd73fd5b8f3a261d2b9eb65c7bd46b5"), Size: 574458}
	goldenGzipKey = Key("00ba9855085cd9cb43bd33471178ff487935a8d221da075593b147b25c45379a")
	goldenZstd    = Record{DiffID: goldenTar, Digest: sha("b136635795206c70f2fada46d37c5b22b96522abe8f1994bf83c62e1f12bc6cb"), Size: 601177}
	goldenZstdKey = Key("6ef004c792bd8fb06022b8b3d611786acd1018d1da8a529f0047a339c2087ba0")
	goldenRoot    = Record{DiffID: sha("f19e520040383d0af4ff6c148e68848709ff918a0616193b6eb83f3e2b4069cd"), Digest: sha("0c657e21fe00528d1778af8738fca0b33c27cd566e7c9bef6bbdda604b32f8f2"), Size: 688}
)
