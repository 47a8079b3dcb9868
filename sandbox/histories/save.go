package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/florinpay/florin/internal/histories"
)

// save writes the history of a recorded workflow to a file, and adds a line about it to the index.
func save(ctx context.Context, r *recording, s scenario, dir string) error {
	h, err := r.history(ctx)
	if err != nil {
		return err
	}
	histories.Anonymize(h)
	raw, err := proto.Marshal(h) // Payloads are plain here. In JSON they would be base64, which hides secrets.
	if err != nil {
		return err
	}
	for _, secret := range []string{"sim_sandbox_key", "Bearer"} {
		if bytes.Contains(raw, []byte(secret)) {
			return fmt.Errorf("the history contains the secret %q", secret)
		}
	}
	packed, err := histories.Pack(h)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := seal(dir, s.name+histories.Suffix, packed); err != nil {
		return err
	}
	if err := create(filepath.Join(dir, s.name+histories.Suffix), packed); err != nil {
		return err
	}
	return index(dir, s)
}

// seal adds the checksum of a new file to the manifest, in the format of sha256sum. A file that is in the manifest already was removed: it
// cannot be recorded again, because new code would record other commands.
func seal(dir, name string, content []byte) error {
	path := filepath.Join(dir, histories.Manifest)
	existing, err := os.ReadFile(filepath.Clean(path))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var lines []string
	for line := range strings.Lines(string(existing)) {
		if strings.HasSuffix(line, "  "+name+"\n") {
			return fmt.Errorf("%s is sealed in %s: restore it with git, or give the scenario of changed code another name", name, path)
		}
		lines = append(lines, line)
	}
	lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(content), name))
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[sha256.Size*2:], b[sha256.Size*2:]) })
	return os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600)
}

// create writes a new file. It returns an error if the file exists.
func create(path string, content []byte) error {
	file, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

const heading = `# Histories

Every version of the workflows must replay these histories. They are sealed: ` + "`" + histories.Manifest + "`" + ` has their checksums, and a changed, missing or
unlisted file fails the tests. ` + "`make histories`" + ` records new scenarios only. If new code does not replay a history, add a version gate to the
code (workflows/versions.go); do not record the history again.
To read one: ` + "`zcat NAME.json.gz | jq`" + `.

`

// index adds the line of a scenario to the index, or replaces it.
func index(dir string, s scenario) error {
	path := filepath.Join(dir, "README.md")
	existing, err := os.ReadFile(filepath.Clean(path))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	lines := []string{fmt.Sprintf("- `%s`: %s", s.name, s.about)}
	for line := range strings.SplitSeq(string(existing), "\n") {
		if strings.HasPrefix(line, "- ") && !strings.HasPrefix(line, fmt.Sprintf("- `%s`:", s.name)) {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return os.WriteFile(path, []byte(heading+strings.Join(lines, "\n")+"\n"), 0o600)
}
