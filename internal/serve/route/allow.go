package route

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ruleForm: a name with dots, and at the end of each component perhaps a star.
var ruleForm = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9_+-]*\*?|\*)(\.([A-Za-z0-9_+-]+\*?|\*))*$`)

// CheckRule says what is wrong with a rule of [Name.Allowed].
func CheckRule(rule string) error {
	if len(rule) > maxName || !ruleForm.MatchString(rule) {
		return fmt.Errorf("want a package, as in git or python3Packages.requests, where * at the end of a component is the rest of it; found %.100q", rule)
	}
	return nil
}

// Allowed reads a list of rules; an empty one allows all. A rule matches a
// package that has as many components, each of them alike but for case, which is
// ignored as when a package is looked up; a star matches the rest of its
// component, and no dot.
//
// A match is of names only. So plain has, for each package that is spelled
// otherwise than the rules spell it, what they call it: it is allowed only if it
// is the same derivation as one of these. denied is the first package that no
// rule matches; "" if there is none.
func (n Name) Allowed(rules []string) (plain map[string][]string, denied string) {
	if len(rules) == 0 {
		return nil, ""
	}
	plain = map[string][]string{}
	for _, p := range n.packages {
		var spelled []string
		for _, rule := range rules {
			if s, ok := spell(p, rule); ok {
				spelled = append(spelled, s)
			}
		}
		switch {
		case len(spelled) == 0:
			return nil, p
		case !slices.Contains(spelled, p):
			plain[p] = spelled
		}
	}
	return plain, ""
}

// spell gives a package's name as a rule that matches it has it. Meta-packages
// are no packages: shell is one, and Shell would be a package.
func spell(pkg, rule string) (string, bool) {
	folded := strings.ToLower(rule)
	if slices.Contains(metaPackages, folded) {
		return pkg, pkg == folded
	}
	parts, components := strings.Split(rule, "."), strings.Split(pkg, ".")
	if len(parts) != len(components) {
		return "", false
	}
	for i, part := range parts {
		literal, open := strings.CutSuffix(part, "*")
		component := components[i]
		if i == 0 && leadsToDigit(literal) { // git finds no _git, but 7zz finds _7zz
			component = "_" + component
		}
		if len(component) < len(literal) || !strings.EqualFold(component[:len(literal)], literal) || !open && len(component) > len(literal) {
			return "", false
		}
		components[i] = literal + component[len(literal):]
	}
	return strings.Join(components, "."), true
}

func leadsToDigit(literal string) bool {
	return len(literal) > 1 && literal[0] == '_' && literal[1] >= '0' && literal[1] <= '9'
}
