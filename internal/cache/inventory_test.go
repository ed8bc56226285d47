package cache

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseName(t *testing.T) {
	for _, want := range []Name{{scope("a"), 1}, {scope("b"), 0xfffffffe}, {BlobScope(hashOf("x")), 2}} {
		if got, ok := ParseName(want.String()); !ok || got != want {
			t.Errorf("%s is read as %v, %v", want, got, ok)
		}
	}
	for _, text := range lookAlikes() {
		if got, ok := ParseName(text); ok {
			t.Errorf("%q passes for %v", text, got)
		}
	}
}

func TestSurplus(t *testing.T) {
	history := func(scope Scope, serial uint32, ref string) Kept {
		return Kept{Name: Name{scope, serial}, Ref: ref, Used: day(1), Size: 10}
	}
	blob := func(content string, used int, size int64) Kept {
		return Kept{Name: Name{BlobScope(hashOf(content)), 1}, Used: day(used), Size: size}
	}
	a1, a2, a10, b1 := history(scope("a"), 1, "main"), history(scope("a"), 2, "main"), history(scope("a"), 10, "main"), history(scope("b"), 1, "main")
	pull := history(scope("a"), 99, "refs/pull/7/merge")
	old, fresh, huge := blob("old", 2, 100), blob("fresh", 9, 100), blob("huge", 9, 1000)
	for name, c := range map[string]struct {
		policy    Policy
		all, want []Kept
	}{
		"nothing":                      {Policy{Keep: 1}, nil, nil},
		"the newest of each scope":     {Policy{Keep: 1}, []Kept{a1, a10, b1, a2}, []Kept{a2, a1}},
		"two of each scope":            {Policy{Keep: 2}, []Kept{a1, a10, b1, a2}, []Kept{a1}},
		"another ref's takes no place": {Policy{Keep: 1}, []Kept{pull, a10}, nil},
		"no budget":                    {Policy{Keep: 1}, []Kept{huge, old}, nil},
		"just within":                  {Policy{Keep: 1, Size: 1210}, []Kept{huge, old, fresh, a1}, nil},
		"the longest unused first":     {Policy{Keep: 1, Size: 1209}, []Kept{huge, old, fresh, a1}, []Kept{old}},
		"then the largest":             {Policy{Keep: 1, Size: 1109}, []Kept{fresh, old, huge, a1}, []Kept{old, huge}},
		"histories stay":               {Policy{Keep: 1, Size: 1}, []Kept{a1, fresh, b1}, []Kept{fresh}},
		"superseded count first":       {Policy{Keep: 1, Size: 110}, []Kept{a1, a2, fresh}, []Kept{a1}},
	} {
		if diff := cmp.Diff(c.want, c.policy.Surplus(c.all), cmp.AllowUnexported(Kept{})); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestParseNames(t *testing.T) {
	l := testIdentity.Scope("")
	if name, err := l.Parse(strings.ToUpper(Name{l, 0xabc}.String())); err != nil || name.Serial != 0xabc {
		t.Errorf("got %v, %v", name, err)
	}
	for _, digits := range []string{"", "1", "000000001", "0000000g", "00000001-"} {
		if name, err := l.Parse(l.Prefix() + digits); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q is %v, %v", digits, name, err)
		}
	}
}
