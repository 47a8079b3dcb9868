package compose

import (
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/stretchr/testify/require"
)

// stages returns the instructions of the Dockerfile by stage, without comments and with continued lines joined.
func stages(t *testing.T) map[string][]string {
	t.Helper()
	content, err := os.ReadFile(root + "Dockerfile")
	require.NoError(t, err)
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(string(content), "")
	text = regexp.MustCompile(`\\\n\s*`).ReplaceAllString(text, " ")
	stages, name := map[string][]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if words := strings.Fields(line); len(words) > 0 && words[0] == "FROM" {
			name = words[len(words)-1]
		}
		if line != "" {
			stages[name] = append(stages[name], line)
		}
	}
	return stages
}

func TestImagesHaveTheBinariesThatComposeRuns(t *testing.T) {
	project, stages := load(t), stages(t)
	built := strings.Join(stages["build"], "\n")
	for name, binary := range map[string]string{"worker": "starter", "simulator": "simulator"} {
		s := service(t, project, name)
		require.NotNil(t, s.Build)
		stage := stages[s.Build.Target]
		require.NotEmpty(t, stage, "no stage %s", s.Build.Target)
		require.Equal(t, "FROM base AS "+s.Build.Target, stage[0])
		require.Contains(t, built, "./cmd/"+binary)
		require.DirExists(t, root+"cmd/"+binary)
		require.Regexp(t, `(?m)^COPY --from=build /out/(`+binary+`|florin/) /usr/local/bin/$`, strings.Join(stage, "\n"))
		require.Equal(t, name, s.Command[0], "in PATH of the image")
		for _, p := range s.Ports {
			require.Contains(t, stage, "EXPOSE "+p.Published)
		}
	}
	require.Contains(t, built, "ln -s starter /out/florin/worker", "one program is both commands")
	require.Contains(t, stages["florin"], `CMD ["worker", "--config", "/etc/florin/worker.yaml"]`)
	require.Equal(t, []string{"worker", "--config", "/etc/florin/worker.yaml"}, []string(service(t, project, "worker").Command))
}

func TestImagesDoNotRunAsRoot(t *testing.T) {
	stages := stages(t)
	require.Regexp(t, `^FROM gcr\.io/distroless/static-debian\d+:nonroot(@sha256:\w+)? AS base$`, stages["base"][0])
	for name, stage := range stages {
		for _, instruction := range stage {
			require.False(t, strings.HasPrefix(instruction, "USER"), "%s changes the user: %s", name, instruction)
		}
	}
	data := regexp.MustCompile(`--chown=65532:65532 /out/data (\S+)`).FindStringSubmatch(strings.Join(stages["base"], "\n"))
	require.NotNil(t, data, "the directory of the volume must belong to the user of the image")
	for _, name := range []string{"worker", "simulator"} {
		var targets []string
		for _, v := range service(t, load(t), name).Volumes {
			targets = append(targets, v.Target)
		}
		require.Contains(t, targets, data[1])
	}
}

// go.mod names the language version; the image may have a later patch release of it.
func TestToolchainHasTheLanguageVersionOfGoMod(t *testing.T) {
	module, err := os.ReadFile(root + "go.mod")
	require.NoError(t, err)
	language := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(module)
	require.NotNil(t, language)
	toolchain := regexp.MustCompile(`golang:([\w.]+)`).FindStringSubmatch(stages(t)["build"][0])
	require.NotNil(t, toolchain)
	wanted, got := "go"+string(language[1]), "go"+toolchain[1]
	require.Equal(t, version.Lang(wanted), version.Lang(got))
	require.GreaterOrEqual(t, version.Compare(got, wanted), 0, "%s is older than %s", got, wanted)
}

// What the build of the images reads is part of its context, and the files that a deployment has beside it are not.
func TestBuildContextHasWhatTheBinariesNeedAndNoSecrets(t *testing.T) {
	file, err := os.Open(root + ".dockerignore")
	require.NoError(t, err)
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	require.NoError(t, err)
	ignored, err := patternmatcher.New(patterns)
	require.NoError(t, err)
	isIgnored := func(path string) bool {
		matched, err := ignored.MatchesOrParentMatches(path)
		require.NoError(t, err)
		return matched
	}
	listed := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
		`{{if .Module}}{{if .Module.Main}}{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`, "./cmd/...")
	listed.Dir = root
	output, err := listed.Output()
	require.NoError(t, err)
	absolute, err := filepath.Abs(root)
	require.NoError(t, err)
	files := strings.Fields(string(output))
	require.Greater(t, len(files), 100)
	for _, path := range append(files, absolute+"/go.mod", absolute+"/go.sum") {
		relative, err := filepath.Rel(absolute, path)
		require.NoError(t, err)
		require.False(t, isIgnored(relative), "%s is not in the context", relative)
	}
	for _, path := range []string{
		".env", "secrets/stripe-api-key", "compose.override.yaml", "florin.db", ".git/config", "docs/compose.md", "sandbox/main.go", "workflows/charge_test.go",
	} {
		require.True(t, isIgnored(path), "%s is in the context", path)
	}
}
