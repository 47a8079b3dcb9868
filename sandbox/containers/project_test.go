package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the runner does not do is an error: a check that skips a field would prove nothing about it.
func TestFieldThatIsNotHonouredIsRefused(t *testing.T) {
	for _, tt := range []struct{ name, service, want string }{
		{name: "another field", service: "{image: a:1, privileged: true}", want: "service a: has a field that is not honoured"},
		{name: "the network of the host", service: "{image: a:1, network_mode: host}", want: "network_mode host is not honoured"},
		{name: "another restart policy", service: "{image: a:1, restart: always}", want: "restart always is not honoured"},
		{name: "a port on all addresses", service: `{image: a:1, ports: ["80:80"]}`, want: "ports: 80 is not honoured"},
		{name: "another kind of mount", service: "{image: a:1, volumes: [{type: tmpfs, target: /a}]}", want: "volumes: type tmpfs is not honoured"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "compose.yaml")
			require.NoError(t, os.WriteFile(file, []byte("name: test\nservices: {a: "+tt.service+"}\n"), 0o600))
			_, err := loadProject(t.Context(), nil, io.Discard, []string{file})
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestRunnerHonoursEveryFieldOfTheComposeFile(t *testing.T) {
	project, err := loadProject(t.Context(), nil, io.Discard, []string{"../../docker-compose.yml"})
	require.NoError(t, err)
	require.Len(t, project.Services, 10)
	for _, s := range project.Services {
		if s.HealthCheck != nil {
			_, err := healthCommand(s.HealthCheck.Test)
			require.NoError(t, err, s.Name)
		}
	}
}

func TestServiceIsStoppedBeforeThoseThatItNeeds(t *testing.T) {
	project, err := loadProject(t.Context(), nil, io.Discard, []string{"../../docker-compose.yml"})
	require.NoError(t, err)
	require.True(t, neededBy(project.Services, "postgresql"))
	require.False(t, neededBy(project.Services, "worker"))
}
