package main

import (
	"fmt"
	"strings"

	"github.com/org/nixery-action/internal/actions"
)

// updated is the page with fresh tables between its marks.
func updated(page string) (string, error) {
	for name, table := range map[string]string{"inputs": inputsTable(), "outputs": outputsTable()} {
		begin, end := "<!-- begin: "+name+" -->\n", "<!-- end -->\n"
		before, rest, begins := strings.Cut(page, begin)
		_, after, ends := strings.Cut(rest, end)
		if !begins || !ends {
			return "", fmt.Errorf("there is no part for a table between %q and %q", begin, end)
		}
		page = before + begin + table + end + after
	}
	return page, nil
}

func inputsTable() string {
	var b strings.Builder
	b.WriteString("| input | default | meaning |\n|---|---|---|\n")
	for _, input := range actions.InputTable() {
		value := ""
		if input.Default != "" {
			value = "`" + input.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", input.Name, cell(value), cell(input.Description))
	}
	return b.String()
}

func outputsTable() string {
	var b strings.Builder
	b.WriteString("| output | meaning |\n|---|---|\n")
	for _, output := range actions.OutputTable() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", output.Name, cell(output.Description))
	}
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
