package spec

import (
	"fmt"
	"strings"
	"testing"
)

// grammars has values for a place in a spec. Good ones pass Parse and the
// schema, bad ones neither; what is beyond the schema only Parse refuses.
var grammars = []struct {
	in                string // %s is where the value stands
	good, bad, beyond string // values, a line each
}{
	{
		in:   "packages: [%s]",
		good: "git\npython3Packages.requests\n7zz\n_1password\nc++\nfoo'\nxorg.libX11, shell, builder\n" + strings.Repeat("a", 128),
		bad:  "a..b\n.a\na.\n''\n-a\n'a b'\na/b\n$a\n1\ntrue\nnull\n[a]\na, a\n" + strings.Repeat("a", 129),
	},
	{
		in:   "packages: [git]\narchitectures: [%s]",
		good: "amd64\narm64\narm64, amd64",
		bad:  "x86_64\nAMD64\nlinux/amd64\n''\narm64, arm64\n64",
	},
	{
		in:   "packages: [git]\nformat: %s",
		good: "docker\noci",
		bad:  "OCI\n''\nnull\n[oci]",
	},
	{
		in:   "packages: [git]\nversion: %s",
		good: "1",
		bad:  "2\n'1'\n0\nnull",
	},
	{
		in:     "packages: [git]\nrepository: %s",
		good:   "ghcr.io/acme/toolbox\nacme/toolbox\nlocalhost:5000/x\n127.0.0.1:5000/a/b/c__d.e--f\n'[::1]:5000/x'\ntoolbox",
		bad:    "''\n1\n[a]",
		beyond: "ghcr.io/acme/toolbox:1\na/B\na//b\na/-b\na/b-\na/b/\n/a\nhttps://ghcr.io/a\na@b\na b",
	},
	{
		in:     "packages: [git]\ntags: [%s]",
		good:   "latest\nv1.2.3_x-y\n'1.25'\n" + strings.Repeat("a", 128) + "\n'${GITHUB_SHA}'\n'x-${GITHUB_SHA}-${GITHUB_RUN_ID}'",
		bad:    "1.25\n''\na, a\ntrue",
		beyond: "a b\n.a\n-a\na:b\n$$\n$\n'${'\n'${X}'\n'${GITHUB_SHA'\n'${GITHUB_TOKEN}'\n'${GITHUB_X}'\n'${GITHUB_SHA}', x1\n" + strings.Repeat("a", 129),
	},
	{
		in:     "packages: [git]\nconfig: {user: %s}",
		good:   "root\n0\n1000\n'1000:1000'\napp:app\n_apt\n2147483647\nDOMAIN.user",
		bad:    "''\n1.5\n[a]\nnull\n'a:'\n'a b'\n'1:2:3'\n':a'\n-1\n2147483648",
		beyond: "010\na:4294967296\n0x10",
	},
	{
		in:     "packages: [git]\nconfig: {stop-signal: %s}",
		good:   "SIGTERM\nSIGUSR1\n9\n'15'\nSIGRTMIN+3\nSIGRTMAX-14\n64",
		bad:    "TERM\nsigterm\n''\n1.5\nnull\n65",
		beyond: "SIGNOTHING\n0\nSIGRTMIN+16\n'015'",
	},
	{
		in:     "packages: [git]\nconfig: {exposed-ports: [%s]}",
		good:   "80\n'80'\n80/tcp\n53/udp\n65535/sctp\n80/tcp, 80/udp",
		bad:    "0\n65536\n-1\n80/http\n'080'\n80-90\n''\n80, 80\n1.5",
		beyond: "80, '80'\n80, 80/tcp\n99999/tcp",
	},
	{
		in:     "packages: [git]\nconfig: {volumes: [%s]}",
		good:   "/data\n/a/b c, /d",
		bad:    "data\n/\n''\n1\n/a, /a",
		beyond: "/a/\n/a/../b\n//",
	},
	{
		in:     "packages: [git]\nconfig: {working-dir: %s}",
		good:   "/\n/a b/c",
		bad:    "a\n''\n1\n./a",
		beyond: "/a/\n/a/./b",
	},
	{
		in:     "packages: [git]\nconfig: {env: {%s}}",
		good:   "A: b\n_a1: ''\nA: '$HOME ${X} $$'",
		bad:    "A: 1\nA: true\nA:\nA-B: x\n1A: x\n'': x\nA: [b]",
		beyond: `A: "\0"`,
	},
	{
		in:     "packages: [git]\nconfig: {labels: {%s}}",
		good:   "a: b\norg.x/y: ''\na: '$${GITHUB_SHA} is ${GITHUB_SHA}'",
		bad:    "a: 1\na:\n'': x\n'a b': x",
		beyond: "a: $b\na: '${b}'\na: '${GITHUB_B}'",
	},
	{
		in:   "packages: [git]\nconfig: {%s}",
		good: "entrypoint: [a]\ncmd: [a, a, '']",
		bad:  "entrypoint: []\nentrypoint: a\ncmd: []\ncmd: [1]\ncmd: [[a]]\ncmd: null\nnone: a",
	},
	{
		in:     "packages: [git]\nlayers: {%s}",
		good:   "budget: 1\nbudget: 124\nlevel: 1\nlevel: 9, compression: gzip\n'budget': 3",
		bad:    "budget: 0\nbudget: 125\nbudget: 126\nbudget: 1000\nbudget: '1'\nbudget: 1.5\nlevel: 0\nlevel: 20\ncompression: gz\nnone: 1",
		beyond: "level: 10\nlevel: 10, compression: gzip\ncompression: zstd\nbudget: 0x10",
	},
	{
		in: "packages: [git]\nlayers: {popularity: %s}",
		good: "embedded\nnone\ntable.json\n../a/table.json.gz\n/a/b\n'https://example.org/table.json?a=b'\nhttp://127.0.0.1:8080/t\nhttp://localhost/t\n'http://[::1]:1/t'\n./embeded\n" +
			"t.json, sha256: " + strings.Repeat("0a", 32),
		bad:    "''\n1\nnull\n[a]\n{}\nt.json, sha256: ''\nt.json, sha256: " + strings.Repeat("A", 64) + "\nt.json, sha256: " + strings.Repeat("a", 63),
		beyond: "embeded\nNone\nhttp://example.org/t\nhttp://127.0.0.1.example.org/t\nftp://example.org/t\nfile:///t\nhttps:///t\n'https://a b/t'\n'https://a:b@c/d'\n'https://a@c/d'\nembedded, sha256: " + strings.Repeat("a", 64) + "\nnone, sha256: " + strings.Repeat("a", 64),
	},
	{
		in:     "packages: [git]\nlayers: {%s}",
		good:   "popularity: none, budget: 3",
		beyond: "sha256: " + strings.Repeat("a", 64),
	},
	{
		in:     "packages: [git]\nformat: oci\nlayers: {%s}",
		good:   "compression: zstd\ncompression: zstd, level: 19\nlevel: 19, compression: zstd",
		bad:    "compression: zstd, level: 20\ncompression: lz4",
		beyond: "compression: gzip, level: 19",
	},
	{
		in: "packages: [git]\nnixpkgs: {%s}",
		good: "channel: nixos-25.11\nchannel: 0123456789abcdef0123456789abcdef01234567\npath: ./a\npath: /a\nflake: github:a/b\nflake: .\n" +
			"config: {}\nconfig: {a: {b: [1, 2.5, true, null, c]}}\noverlays: [a.nix]\npath: a, overlays: [b], config: {c: d}\n" +
			"path: a, include-ignored: true\noverlays: [a], include-ignored: true\npath: a, include-ignored: false\nflake: ..\nflake: '.?dir=a'",
		bad: "channel: ''\nchannel: -a\nchannel: a/b\nchannel: a b\nchannel: 25.11\npath: ''\npath: 1\nflake: ''\nflake: -a\nconfig: []\noverlays: []\noverlays: [a, a]\n" +
			"channel: a, path: b\nchannel: a, flake: b\npath: a, flake: b\nchannel: a, git: {url: 'https://a/b'}\nurl: a\n" +
			"path: a, include-ignored: 1\npath: a, include-ignored: 'true'\npath: a, include-ignored:",
		beyond: "flake: a#b\nflake: a b\nflake: a, config: {}\nflake: a, overlays: [b]\noverlays: [a, ./a]\nflake: 'git+https://token@a/b'\nflake: 'git+ssh://a:b@c/d'\n" +
			"include-ignored: true\nchannel: a, include-ignored: true\nflake: ., include-ignored: true",
	},
	{
		in: "packages: [git]\nnixpkgs: {git: {%s}}",
		good: "url: 'https://a/b', ref: main\nurl: 'https://a:80/b', rev: 0123456789abcdef0123456789abcdef01234567\nurl: 'http://a/b'\nurl: 'ssh://git@a/b'\nurl: 'ssh://git@a:22/b'\n" +
			"url: 'file:///a'\nurl: 'git@a:b/c.git'\nurl: 'git@a:/b', ref: refs/tags/v1.0+x",
		bad: "ref: main\nurl: ''\nurl: 1\nurl: 'https://a/b', ref: ''\nurl: 'https://a/b', ref: -a\nurl: 'https://a/b', ref: a b\nurl: 'https://a/b', rev: abc\n" +
			"url: 'https://a/b', rev: 0123456789ABCDEF0123456789abcdef01234567\nurl: 'https://a/b', branch: a\nurl: 'https://a/b', ref: 'a@{b'",
		beyond: "url: -a\nurl: --upload-pack=a\nurl: 'ext::sh -c a'\nurl: 'ftp://a/b'\nurl: 'https:///b'\nurl: 'https://a b/c'\nurl: 'ssh://-oProxyCommand=a/b'\nurl: 'ssh://-a@b/c'\nurl: 'ssh://a@-b/c'\n" +
			"url: 'a@b:-c'\nurl: 'a@-b:c'\nurl: 'a@b::c'\nurl: 'file:a'\nurl: ./a\nurl: 'https://a:b@c/d'\nurl: 'https://a@c/d'\nurl: 'https://a/b', ref: a..b",
	},
	{
		in:   "images: {%s}",
		good: "a: {packages: [git]}\n0.a_b-c: {packages: [git]}",
		bad:  "A: {packages: [git]}\n-a: {packages: [git]}\n'': {packages: [git]}\na/b: {packages: [git]}\na:\na: []\na: {}\na: {packages: []}\na: {packages: [git], images: {}}",
		beyond: "a: {packages: [git]}, a: {packages: [git]}\n" +
			"a: {packages: [git], repository: a}, b: {packages: [git], repository: docker.io/library/a}",
	},
	{
		in:   "%s",
		good: "packages: [git]\nimages: {a: {packages: [git]}}",
		bad:  "{}\n[]\ngit\nversion: 1\nimages: {}\n{packages: [git], images: {a: {packages: [git]}}}\n{tags: [a], images: {a: {packages: [git]}}}\n{packages: [git], none: 1}",
	},
}

func TestGrammars(t *testing.T) {
	schema := compileSchema(t)
	env := func(name string) (string, bool) { return "x1", true }
	judge := func(in, values string, byParse, bySchema bool) {
		for value := range strings.SplitSeq(values, "\n") {
			if value == "" {
				continue
			}
			text := fmt.Sprintf(in, value)
			if _, err := Parse("nixery.yaml", []byte(text), env); (err == nil) != byParse {
				t.Errorf("%s\nParse says %v", text, err)
			}
			// A duplicate key does not get as far as the schema.
			if err := validate(schema, []byte(text)); (err == nil) != bySchema && !strings.Contains(fmt.Sprint(err), "already defined") {
				t.Errorf("%s\nthe schema says %v", text, err)
			}
		}
	}
	for _, g := range grammars {
		judge(g.in, g.good, true, true)
		judge(g.in, g.bad, false, false)
		judge(g.in, g.beyond, false, true)
	}
}
