package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/florinpay/florin/internal/histories"
)

// save writes the history of what a scenario has left behind, and a line about it into the index.
func save(ctx context.Context, r *recording, s scenario, dir string) error {
	h, err := r.history(ctx)
	if err != nil {
		return err
	}
	histories.Anonymize(h)
	raw, err := proto.Marshal(h) // here payloads are as they are, and not in base64
	if err != nil {
		return err
	}
	for _, secret := range []string{"sim_sandbox_key", "Bearer"} {
		if bytes.Contains(raw, []byte(secret)) {
			return fmt.Errorf("the history holds %q", secret)
		}
	}
	packed, err := histories.Pack(h)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := create(filepath.Join(dir, s.name+histories.Suffix), packed); err != nil {
		return err
	}
	return index(dir, s)
}

// create writes a file that does not exist yet.
func create(path string, content []byte) error {
	file, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

const heading = `# Histories

What every version of the workflows has to replay; ` + "`make histories`" + ` adds those that are missing, and never overwrites one.
A history that new code no longer replays needs a version gate in the code, not another history. To read one:
` + "`zcat NAME.json.gz | jq`" + `.

`

// index adds the line of a scenario.
func index(dir string, s scenario) error {
	path := filepath.Join(dir, "README.md")
	written, err := os.ReadFile(filepath.Clean(path))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	lines := []string{fmt.Sprintf("- `%s`: %s", s.name, s.shows)}
	for line := range strings.SplitSeq(string(written), "\n") {
		if strings.HasPrefix(line, "- ") && !strings.HasPrefix(line, fmt.Sprintf("- `%s`:", s.name)) {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return os.WriteFile(path, []byte(heading+strings.Join(lines, "\n")+"\n"), 0o600)
}
