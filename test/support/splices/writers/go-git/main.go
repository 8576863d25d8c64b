// Changes refs with go-git, one command per line: set REF ID, delete REF, symbolic REF TARGET, pack. Answers `ok` or the
// error, in one line.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage"
)

func run(refs storage.Storer, words []string) error {
	if len(words) == 3 && words[0] == "set" {
		id := plumbing.NewHash(words[2])
		return refs.SetReference(plumbing.NewHashReference(plumbing.ReferenceName(words[1]), id))
	}
	if len(words) == 3 && words[0] == "symbolic" {
		target := plumbing.ReferenceName(words[2])
		return refs.SetReference(plumbing.NewSymbolicReference(plumbing.ReferenceName(words[1]), target))
	}
	if len(words) == 2 && words[0] == "delete" {
		return refs.RemoveReference(plumbing.ReferenceName(words[1]))
	}
	if len(words) == 1 && words[0] == "pack" {
		return refs.PackRefs()
	}
	return errors.New("unknown command")
}

func main() {
	repository, err := git.PlainOpen(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := run(repository.Storer, strings.Fields(lines.Text())); err != nil {
			fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok")
		}
	}
}
