package publish

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseOutput(t *testing.T) {
	for text, want := range map[string]Output{
		"type=registry":                          {Kind: ToRegistry, Push: true},
		"type=image":                             {Kind: ToRegistry},
		"type=image,push=true":                   {Kind: ToRegistry, Push: true},
		`type=image,push=1,"name=a/b:1, a/b:2"`:  {Kind: ToRegistry, Push: true, Names: []string{"a/b:1", "a/b:2"}},
		"type=registry,registry.insecure=true":   {Kind: ToRegistry, Push: true, Insecure: true},
		"type=docker":                            {Kind: ToDaemon},
		"type=docker,name=a/b:1":                 {Kind: ToDaemon, Names: []string{"a/b:1"}},
		"type=oci,dest=directory":                {Kind: ToLayout, Dest: "directory"},
		"type=oci,dest=a.tar":                    {Kind: ToLayout, Dest: "a.tar", Tar: true},
		"type=oci,dest=a.tar,tar=false":          {Kind: ToLayout, Dest: "a.tar"},
		"type=oci,dest=directory,tar=true":       {Kind: ToLayout, Dest: "directory", Tar: true},
		"type=oci,dest=-":                        {Kind: ToLayout, Dest: "-", Tar: true},
		`type=docker,"dest=with, comma"`:         {Kind: ToArchive, Dest: "with, comma", Tar: true},
		`"type=docker","dest=with ""quotes"".x"`: {Kind: ToArchive, Dest: `with "quotes".x`, Tar: true},
		"type=image,name=r.example/a,push-by-digest=true,name-canonical=true,push=true": {
			Kind: ToRegistry, Push: true, PushByDigest: true, Names: []string{"r.example/a"}},
	} {
		if got, err := ParseOutput(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestParseOutputErrors(t *testing.T) {
	for text, says := range map[string]string{
		"":                                "it is empty",
		"directory":                       `"directory" is not of the form key=value`,
		"type=local,dest=x":               `type "local" is not one of registry, image, oci, docker`,
		"dest=x":                          `type "" is not one of`,
		"type=oci":                        "dest is missing",
		"type=docker,dest=":               "dest is missing",
		"type=docker,tar=true":            "tar is about a file",
		"type=oci,dest=x,zip=1,compress=": `unknown key "compress"; type=oci knows name, dest, tar`,
		"type=registry,dest=x":            `unknown key "dest"`,
		"type=oci,dest=x,push=true":       `unknown key "push"`,
		"type=image,push=maybe":           "push=maybe is neither true nor false",
		"type=oci,dest=x,dest=y":          "dest is given twice",
		"type=docker,dest=x,tar=false":    "always a tar",
		`type=oci,"dest=x`:                "reading fields",
		"type=oci,dest=x\ntype=registry":  "more than one line",
	} {
		if _, err := ParseOutput(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v does not say %q", text, err, says)
		}
	}
}
