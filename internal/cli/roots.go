package cli

// Slim containers have no certificates to know servers by. Where the system has
// some, these do not count.
import _ "golang.org/x/crypto/x509roots/fallback"
