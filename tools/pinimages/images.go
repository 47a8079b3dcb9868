package main

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"go.yaml.in/yaml/v3"
)

// image is a reference to an image in a file.
type image struct {
	// name has no tag; digest is empty if there is none.
	name, tag, digest string
	line              int
	// from and to are where the reference begins and ends in the file, in bytes.
	from, to int
}

// tagged returns the reference without its digest.
func (i image) tagged() string { return i.name + ":" + i.tag }

func (i image) String() string { return i.tagged() + "@" + i.digest }

// parseImage parses a reference. One without a tag is an error: it would be pinned to whatever is the latest.
func parseImage(reference string) (image, error) {
	tagged, digest, pinned := strings.Cut(reference, "@")
	i := strings.LastIndex(tagged, ":")
	if i <= strings.LastIndex(tagged, "/") {
		return image{}, fmt.Errorf("%q has no tag: want name:tag", reference)
	}
	if pinned {
		if _, err := name.NewDigest(tagged[:i] + "@" + digest); err != nil {
			return image{}, err
		}
	}
	if _, err := name.NewTag(tagged); err != nil {
		return image{}, err
	}
	return image{name: tagged[:i], tag: tagged[i+1:], digest: digest}, nil
}

// imagesIn returns the images that a file names, in their order, without those that are built from the repository. A file is a Compose file
// if its name ends in .yml or .yaml, and otherwise a Dockerfile.
func imagesIn(file string, content []byte) ([]image, error) {
	if strings.HasSuffix(file, ".yml") || strings.HasSuffix(file, ".yaml") {
		return imagesInCompose(content)
	}
	return imagesInDockerfile(content)
}

func imagesInCompose(content []byte) ([]image, error) {
	var compose struct {
		Services map[string]struct {
			Image yaml.Node `yaml:"image"`
			Build yaml.Node `yaml:"build"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(content, &compose); err != nil {
		return nil, err
	}
	var images []image
	for _, service := range compose.Services {
		node := service.Image
		if node.Kind != yaml.ScalarNode || !service.Build.IsZero() { // an alias is pinned with what it is an alias of
			continue
		}
		i, err := parseImage(node.Value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", node.Line, err)
		}
		lines := bytes.SplitAfter(content, []byte("\n"))
		from := len(bytes.Join(lines[:node.Line-1], nil)) + node.Column - 1
		at := bytes.Index(content[from:], []byte(node.Value)) // behind an anchor and a quotation mark
		if at < 0 {
			return nil, fmt.Errorf("line %d: want the image on one line", node.Line)
		}
		i.line, i.from, i.to = node.Line, from+at, from+at+len(node.Value)
		images = append(images, i)
	}
	slices.SortFunc(images, func(a, b image) int { return cmp.Compare(a.from, b.from) })
	return images, nil
}

// inDockerfile finds the lines that name an image: the syntax, FROM with the stage that it begins, and COPY --from.
var inDockerfile = regexp.MustCompile(`(?im)^(?:# *syntax *= *(\S+)|FROM +(?:--\S+ +)*(\S+)(?: +AS +(\S+))?|COPY +(?:--\S+ +)*?--from=(\S+) .*)[ \t]*\r?$`)

func imagesInDockerfile(content []byte) ([]image, error) {
	var images []image
	stages := map[string]bool{"scratch": true}
	for _, match := range inDockerfile.FindAllSubmatchIndex(content, -1) {
		var from, to int
		for group := range 3 {
			if n := []int{1, 2, 4}[group]; match[2*n] >= 0 {
				from, to = match[2*n], match[2*n+1]
			}
		}
		reference := string(content[from:to])
		isStage := stages[strings.ToLower(reference)]
		if match[6] >= 0 {
			stages[strings.ToLower(string(content[match[6]:match[7]]))] = true
		}
		line := 1 + bytes.Count(content[:from], []byte("\n"))
		if isStage || strings.Trim(reference, "0123456789") == "" { // a stage may be named by its number
			continue
		}
		i, err := parseImage(reference)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		i.line, i.from, i.to = line, from, to
		images = append(images, i)
	}
	return images, nil
}

// replace returns the content with the images as they are now.
func replace(content []byte, images []image) []byte {
	var b bytes.Buffer
	end := 0
	for _, i := range images {
		b.Write(content[end:i.from])
		b.WriteString(i.String())
		end = i.to
	}
	b.Write(content[end:])
	return b.Bytes()
}
