package layers

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/nix"
)

// The names of files that may hold credentials. The lists are short on purpose:
// names alone decide, and packages should have such files hardly ever.
// docs/contents.md has them for users.
var (
	// secretNames are names of files in any directory.
	secretNames = nameSet(".env .netrc _netrc .npmrc .pypirc .git-credentials .pgpass .my.cnf .s3cfg .boto .dockercfg " +
		".vault-token .terraformrc terraform.tfstate terraform.tfstate.backup")
	// secretPaths are the ends of names, in the directories that programs look into.
	secretPaths = nameSet(".docker/config.json .aws/credentials .kube/config .config/gh/hosts.yml .cargo/credentials .cargo/credentials.toml " +
		".gem/credentials .m2/settings.xml .config/gcloud/application_default_credentials.json .config/containers/auth.json")
	// keyNames are those that tests and manuals have, too.
	keyNames = nameSet("id_rsa id_dsa id_ecdsa id_ecdsa_sk id_ed25519 id_ed25519_sk credentials.json .htpasswd")
	// samples are what .env.sample and its like end in.
	samples = nameSet("example sample template dist default defaults tmpl")
	// public are directories below which a key is a published one.
	public = nameSet("doc docs man test tests testing testdata test-data fixtures spec example examples demo demos")
)

func nameSet(names string) map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(names) {
		set[name] = true
	}
	return set
}

// mayHoldCredentials reports whether the name of a file or directory, relative to
// its store path, is one of files with credentials. Below node_modules only .git
// counts, as npm installs the source of others there.
//
//	.env, etc/.env.production, .aws/credentials, keys/id_rsa  ▶  true
//	.env.sample, docs/id_rsa, node_modules/x/.npmrc           ▶  false
func mayHoldCredentials(name string, mode fs.FileMode) bool {
	base := path.Base(name)
	if mode.IsDir() {
		return base == ".git"
	}
	parent := path.Base(path.Dir(name))
	switch {
	case keyNames[base]:
		return !below(name, func(dir string) bool { return public[dir] || dir == "node_modules" })
	case secretNames[base], secretPaths[parent+"/"+base], secretPaths[path.Base(path.Dir(path.Dir(name)))+"/"+parent+"/"+base]:
	case strings.HasPrefix(base, ".env.") && !samples[base[strings.LastIndexByte(base, '.')+1:]]:
	default:
		return false
	}
	return !below(name, func(dir string) bool { return dir == "node_modules" })
}

// below reports whether is holds for a directory above name.
func below(name string, is func(dir string) bool) bool {
	return slices.ContainsFunc(strings.Split(path.Dir(name), "/"), is)
}

// watched returns the same part, which calls the packer's Credential for the names
// that may hold credentials while it is packed.
func (p *Packer) watched(storePath nix.StorePath, all part) part {
	if p.Credential == nil {
		return all
	}
	prefix := string(storePath[1:])
	return func(yield func(Entry, error) bool) {
		for e, err := range all {
			if err == nil {
				name := strings.TrimPrefix(strings.TrimPrefix(e.Name, prefix), "/")
				if name == "" { // a store path that is one file has the file's name
					name = storePath.Name()
				}
				if mayHoldCredentials(name, e.Mode) {
					p.Credential(storePath, name)
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
