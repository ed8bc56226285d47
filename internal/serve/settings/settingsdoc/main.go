// Command settingsdoc turns the table of settings into that of docs/serve.md. The page's own prose, outside the marked part, is kept
// as it is, so whoever adds a setting has nothing to write twice.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/org/nixery-action/internal/serve/settings"
)

//go:generate go run . ../../../../docs/serve.md

const (
	begin = "<!-- table: made by go generate ./internal/serve/settings/settingsdoc -->\n"
	end   = "<!-- end of table -->\n"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: settingsdoc PAGE")
	}
	page, err := update(os.Args[1])
	if err == nil {
		err = os.WriteFile(os.Args[1], page, 0o644)
	}
	if err != nil {
		log.Fatal("settingsdoc: ", err)
	}
}

// update returns the page with a fresh table.
func update(file string) ([]byte, error) {
	page, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	before, rest, begins := bytes.Cut(page, []byte(begin))
	_, after, ends := bytes.Cut(rest, []byte(end))
	if !begins || !ends {
		return nil, fmt.Errorf("%s has no part for the table, between %q and %q", file, begin, end)
	}
	return bytes.Join([][]byte{before, []byte(begin + table() + end), after}, nil), nil
}

func table() string {
	var b strings.Builder
	b.WriteString("\n| flag, and key of the file | variable | default | meaning |\n|---|---|---|---|\n")
	for _, row := range settings.Table {
		flag := ""
		if row.Flag != "" {
			flag = fmt.Sprintf("`--%s` %s", row.Flag, strings.ToUpper(row.Value))
		}
		if row.Value == "bool" {
			flag = fmt.Sprintf("`--%s`", row.Flag)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", flag, code(row.Env), code(row.Default), strings.ReplaceAll(row.Help, "|", `\|`))
	}
	return b.String() + "\n"
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
