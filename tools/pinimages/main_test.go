package main

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
)

// fakeRegistry is a registry in this process.
type fakeRegistry struct{ host string }

func newRegistry(t *testing.T) fakeRegistry {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return fakeRegistry{strings.TrimPrefix(server.URL, "http://")}
}

// push pushes an index of random images for several platforms, and returns its digest.
func (r fakeRegistry) push(t *testing.T, image string) string {
	t.Helper()
	index, err := random.Index(64, 1, 2)
	require.NoError(t, err)
	ref, err := name.ParseReference(r.host + "/" + image)
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(ref, index))
	return digestOf(t, index.Digest)
}

func digestOf(t *testing.T, digest func() (v1.Hash, error)) string {
	t.Helper()
	hash, err := digest()
	require.NoError(t, err)
	return hash.String()
}

// repository writes a Compose file and a Dockerfile. Each @ stands for the registry.
func (r fakeRegistry) repository(t *testing.T, compose, dockerfile string) (files []string) {
	t.Helper()
	dir := t.TempDir()
	for file, content := range map[string]string{"docker-compose.yml": compose, "Dockerfile": dockerfile} {
		path := filepath.Join(dir, file)
		require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(content, "@", r.host)), 0o600))
	}
	return []string{filepath.Join(dir, "docker-compose.yml"), filepath.Join(dir, "Dockerfile")}
}

func read(t *testing.T, files []string) string {
	t.Helper()
	var all string
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		all += string(content)
	}
	return all
}

const (
	compose = `services:
  secrets:
    image: &postgres "@/postgres:16.15" # for its shell
  postgresql:
    image: *postgres
  temporal:
    image: @/temporalio/server:1.32.1
  worker:
    image: florin:dev
    build: {context: ., target: florin}
`
	dockerfile = `# syntax=@/docker/dockerfile:1
# FROM @/not/an:image
FROM --platform=$BUILDPLATFORM @/golang:1.26.8 AS build
FROM @/distroless/static:nonroot AS base
COPY --from=build /out /out
COPY --chown=1:1 --from=@/tools/certs:2 /certs /certs
FROM base AS florin
FROM scratch
`
)

var images = []string{
	"postgres:16.15", "temporalio/server:1.32.1", "docker/dockerfile:1", "golang:1.26.8", "distroless/static:nonroot", "tools/certs:2",
}

func TestEveryImageIsPinnedToTheDigestOfItsIndexAndNothingElseChanges(t *testing.T) {
	r := newRegistry(t)
	digests := map[string]string{}
	for _, image := range images {
		digests[image] = r.push(t, image)
	}
	files := r.repository(t, compose, dockerfile)
	want := read(t, files)
	for image, digest := range digests {
		want = strings.ReplaceAll(want, "/"+image, "/"+image+"@"+digest)
	}
	var out bytes.Buffer
	require.ErrorContains(t, run(t.Context(), &out, files, true), "postgres:16.15: it has no digest: make pin-images")
	require.NoError(t, run(t.Context(), &out, files, false))
	require.Equal(t, want, read(t, files))
	require.Equal(t, len(images), strings.Count(out.String(), "\n"))

	out.Reset()
	require.NoError(t, run(t.Context(), &out, files, false), "again")
	require.NoError(t, run(t.Context(), &out, files, true))
	require.Equal(t, want, read(t, files))
	require.Empty(t, out.String())

	moved := r.push(t, "golang:1.26.8")
	require.NoError(t, run(t.Context(), &out, files, true), "the pinned image is still there")
	require.Contains(t, out.String(), "golang:1.26.8 has moved from "+digests["golang:1.26.8"]+" to "+moved)
	require.Equal(t, want, read(t, files))
	require.NoError(t, run(t.Context(), &out, files, false))
	require.Equal(t, strings.ReplaceAll(want, digests["golang:1.26.8"], moved), read(t, files))
}

func TestNothingIsPinnedIfAnImageCannotBeResolved(t *testing.T) {
	r := newRegistry(t)
	for _, image := range images[1:] {
		r.push(t, image)
	}
	files := r.repository(t, compose, dockerfile)
	before := read(t, files)
	require.ErrorContains(t, run(t.Context(), io.Discard, files, false), "docker-compose.yml:3: "+r.host+"/postgres:16.15: the registry does not say its digest")
	require.Equal(t, before, read(t, files))
}

func TestDigestThatTheRegistryDoesNotHaveFailsTheCheck(t *testing.T) {
	r := newRegistry(t)
	r.push(t, "golang:1.26.8")
	files := r.repository(t, "services: {}\n", "FROM @/golang:1.26.8\n")
	lost := "sha256:" + strings.Repeat("0", 64)
	require.NoError(t, os.WriteFile(files[1], []byte("FROM "+r.host+"/golang:1.26.8@"+lost+"\n"), 0o600))
	require.ErrorContains(t, run(t.Context(), io.Discard, files, true), "Dockerfile:1: "+r.host+"/golang:1.26.8: the registry does not say its digest")
	require.NoError(t, run(t.Context(), io.Discard, files, false))
	require.NoError(t, run(t.Context(), io.Discard, files, true))
	_, err := crane.Digest(strings.Fields(read(t, files[1:]))[1])
	require.NoError(t, err, "it can be pulled as it is written")
}

func TestInvalidReferencesAreRefusedWithTheirLine(t *testing.T) {
	for name, tt := range map[string]struct{ compose, dockerfile, want string }{
		"no tag":          {compose: "services:\n  a:\n    image: postgres\n", want: `docker-compose.yml: line 3: "postgres" has no tag`},
		"a port, no tag":  {dockerfile: "\nFROM localhost:5000/golang\n", want: `Dockerfile: line 2: "localhost:5000/golang" has no tag`},
		"a variable":      {dockerfile: "FROM golang:${VERSION}\n", want: "Dockerfile: line 1: "},
		"a broken digest": {dockerfile: "FROM golang:1@sha256:abc\n", want: "Dockerfile: line 1: "},
		"no YAML":         {compose: "services: [", want: "docker-compose.yml: yaml: "},
	} {
		t.Run(name, func(t *testing.T) {
			files := fakeRegistry{}.repository(t, "services: {}\n", "")
			require.NoError(t, os.WriteFile(files[0], []byte(tt.compose), 0o600))
			require.NoError(t, os.WriteFile(files[1], []byte(tt.dockerfile), 0o600))
			require.ErrorContains(t, run(t.Context(), io.Discard, files, false), tt.want)
		})
	}
	require.ErrorContains(t, run(t.Context(), io.Discard, nil, false), "name the files")
}

func TestImagesOfTheRepositoryAreFound(t *testing.T) {
	for file, want := range map[string][]string{
		"docker-compose.yml": {"postgres", "temporalio/admin-tools", "temporalio/server", "temporalio/admin-tools", "temporalio/ui"},
		"Dockerfile":         {"docker/dockerfile", "golang", "gcr.io/distroless/static-debian13"},
	} {
		content, err := os.ReadFile("../../" + file)
		require.NoError(t, err)
		found, err := imagesIn(file, content)
		require.NoError(t, err)
		var names []string
		for _, i := range found {
			names = append(names, i.name)
		}
		require.Equal(t, want, names, file)
	}
}
