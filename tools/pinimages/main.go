// Command pinimages pins the images that Dockerfiles and Compose files name to digests: name:tag becomes name:tag@sha256:…, with the digest
// that the registry has for the tag now, and a digest that is there is replaced by it. The digest is that of the index, which covers all
// platforms. Nothing else in the files changes, and a second run changes nothing unless a tag has moved.
//
//	go run ./pinimages ../docker-compose.yml ../Dockerfile
//	go run ./pinimages --check ../docker-compose.yml ../Dockerfile
//
// With --check, no file changes. An image without a digest, or with one that the registry does not have, is an error. That a tag has moved is
// only printed: the pinned image is what was tested.
//
// Registries are reached, and credentials found, as docker does. HTTPS is required, except for a registry on loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
)

// lookupTimeout limits each request about one image.
const lookupTimeout = 30 * time.Second

func main() {
	check := flag.Bool("check", false, "change nothing, and fail if an image has no digest, or one that its registry does not have")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, flag.Args(), *check)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pinimages:", err)
		os.Exit(1)
	}
}

// run pins or checks the images of the files. If one image cannot be resolved, no file changes.
func run(ctx context.Context, out io.Writer, files []string, check bool) error {
	if len(files) == 0 {
		return errors.New("name the files, such as docker-compose.yml and Dockerfile")
	}
	pinned := map[string][]byte{}
	var problems []error
	r := resolver{digests: map[string]string{}}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		found, err := imagesIn(filepath.Base(file), content)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for i, image := range found {
			digest, err := r.digest(ctx, image.tagged())
			if err == nil && check {
				err = r.check(ctx, out, file, image, digest)
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("%s:%d: %s: %w", file, image.line, image.tagged(), err))
				continue
			}
			if !check && image.digest != digest {
				_, _ = fmt.Fprintf(out, "%s:%d: %s@%s\n", file, image.line, image.tagged(), digest)
			}
			found[i].digest = digest
		}
		pinned[file] = replace(content, found)
	}
	if err := errors.Join(problems...); err != nil || check {
		return err
	}
	for file, content := range pinned {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, content, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// resolver asks registries for digests, once for each image.
type resolver struct{ digests map[string]string }

func (r resolver) digest(ctx context.Context, reference string) (string, error) {
	if digest, ok := r.digests[reference]; ok {
		return digest, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	digest, err := crane.Digest(reference, crane.WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("the registry does not say its digest: %w", err)
	}
	r.digests[reference] = digest
	return digest, nil
}

// check returns an error unless the image is pinned to a digest that its registry has. now is the digest of its tag.
func (r resolver) check(ctx context.Context, out io.Writer, file string, image image, now string) error {
	switch {
	case image.digest == "":
		return errors.New("it has no digest: make pin-images")
	case image.digest == now:
		return nil
	}
	if _, err := r.digest(ctx, image.name+"@"+image.digest); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%s:%d: %s has moved from %s to %s: make pin-images takes it\n", file, image.line, image.tagged(), image.digest, now)
	return err
}
