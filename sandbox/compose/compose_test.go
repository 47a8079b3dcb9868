package compose

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
)

// root is the root of the repository.
const root = "../../"

// load reads docker-compose.yml as docker compose does, with env as the whole environment.
func load(t *testing.T, env ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{root + "docker-compose.yml"}, cli.WithEnv(env), cli.WithDefaultProfiles())
	require.NoError(t, err)
	project, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return project
}

func service(t *testing.T, project *types.Project, name string) types.ServiceConfig {
	t.Helper()
	s, err := project.GetService(name)
	require.NoError(t, err)
	return s
}

// mounted returns the file of the repository that is mounted into a service at path.
func mounted(t *testing.T, s types.ServiceConfig, path string) string {
	t.Helper()
	for _, v := range s.Volumes {
		if v.Target == path {
			require.Equal(t, types.VolumeTypeBind, v.Type)
			require.True(t, v.ReadOnly, "%s must be mounted read-only", path)
			return v.Source
		}
	}
	require.Fail(t, "nothing is mounted", "at %s of %s", path, s.Name)
	return ""
}

// flagOf returns the value of a flag in a command.
func flagOf(t *testing.T, command []string, flag string) string {
	t.Helper()
	i := slices.Index(command, flag)
	require.GreaterOrEqual(t, i, 0, "%s has no %s", command, flag)
	require.Less(t, i+1, len(command))
	return command[i+1]
}

func workerConfig(t *testing.T, project *types.Project) config.Config {
	t.Helper()
	worker := service(t, project, "worker")
	loaded, err := config.Load(mounted(t, worker, flagOf(t, worker.Command, "--config")), app.BuiltIn)
	require.NoError(t, err)
	return loaded
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return port
}

// environment returns the environment variables that a service sets for its process.
func environment(s types.ServiceConfig) map[string]string {
	set := map[string]string{}
	for name, value := range s.Environment {
		if value != nil {
			set[name] = *value
		}
	}
	return set
}

func TestWorkerGetsExactlyTheVariablesThatItReads(t *testing.T) {
	project := load(t)
	worker := environment(service(t, project, "worker"))
	require.Equal(t, "temporal:7233", worker["TEMPORAL_ADDRESS"])
	require.Equal(t, environment(service(t, project, "temporal-namespace"))["TEMPORAL_NAMESPACE"], worker["TEMPORAL_NAMESPACE"], "the search attributes are registered in the worker's namespace")

	read := []string{"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "FLORIN_TEMPORAL_INSECURE"} // by app.Dial
	require.Equal(t, "true", worker["FLORIN_TEMPORAL_INSECURE"], "the server of this file has no TLS")
	for _, p := range workerConfig(t, project).Processors {
		require.NotEmpty(t, worker[p.APIKey.Env], "the worker needs %s", p.APIKey.Env)
		read = append(read, p.APIKey.Env)
	}
	for name := range worker {
		require.Contains(t, read, name, "the worker does not read it")
	}
}

func TestWorkerAndSimulatorHaveTheSameAPIKey(t *testing.T) {
	for name, env := range map[string][]string{"by default": nil, "from the environment": {"SIMULATOR_API_KEY=sk_other"}} {
		t.Run(name, func(t *testing.T) {
			project := load(t, env...)
			key := workerConfig(t, project).Processors["simulator"].APIKey.Env
			// cmd/simulator reads this variable unless --api-key-env names another.
			require.Equal(t, "SIMULATOR_API_KEY", key)
			require.NotContains(t, service(t, project, "simulator").Command, "--api-key-env")
			worker, simulator := environment(service(t, project, "worker")), environment(service(t, project, "simulator"))
			require.Equal(t, simulator[key], worker[key])
			require.NotEmpty(t, worker[key])
			if env != nil {
				require.Equal(t, "sk_other", worker[key])
			}
		})
	}
}

func TestWorkersBaseURLIsTheSimulator(t *testing.T) {
	project := load(t)
	base, err := url.Parse(workerConfig(t, project).Processors["simulator"].BaseURL)
	require.NoError(t, err)
	simulator := service(t, project, base.Hostname())
	require.Equal(t, base.Port(), port(t, flagOf(t, simulator.Command, "--listen")))
	require.Equal(t, "simulator", simulator.Command[0])

	var volumes []string
	for _, v := range simulator.Volumes {
		volumes = append(volumes, v.Target+"/")
	}
	require.True(t, slices.ContainsFunc(volumes, func(v string) bool {
		return strings.HasPrefix(flagOf(t, simulator.Command, "--data"), v)
	}), "the ledger is on a volume")
}

func TestHealthCheckUsesThePortOfTheProcess(t *testing.T) {
	project := load(t)
	for name, tt := range map[string]struct{ listen, path string }{
		"worker":    {listen: workerConfig(t, project).Health.Listen, path: "/readyz"},
		"simulator": {listen: flagOf(t, service(t, project, "simulator").Command, "--listen"), path: "/healthz"},
	} {
		t.Run(name, func(t *testing.T) {
			s := service(t, project, name)
			test := []string(s.HealthCheck.Test)
			require.Equal(t, []string{"CMD", name, "healthcheck"}, test[:3])
			checked, err := url.Parse(flagOf(t, test, "--url"))
			require.NoError(t, err)
			require.Equal(t, tt.path, checked.Path)
			require.Equal(t, port(t, tt.listen), checked.Port())
			require.Len(t, s.Ports, 1)
			require.Equal(t, checked.Port(), s.Ports[0].Published)
			require.Equal(t, checked.Port(), strconv.Itoa(int(s.Ports[0].Target)))
			require.True(t, strings.HasPrefix(tt.listen, "0.0.0.0:"), "loopback of the container is not reachable from outside")
		})
	}
}

func TestPortsArePublishedOnLoopbackOnly(t *testing.T) {
	published := map[string]string{}
	for name, s := range load(t).Services {
		require.NotEqual(t, "host", s.NetworkMode, name)
		for _, p := range s.Ports {
			require.Equal(t, "127.0.0.1", p.HostIP, "%s publishes %s", name, p.Published)
			require.NotContains(t, published, p.Published)
			published[p.Published] = name
		}
	}
	require.Equal(t, map[string]string{"7233": "temporal", "8233": "temporal-ui", "8711": "worker", "8712": "simulator"}, published)
}

func TestServicesWaitForTheirDependencies(t *testing.T) {
	project := load(t)
	for name, needs := range map[string]map[string]string{
		"postgresql":         {"secrets": types.ServiceConditionCompletedSuccessfully},
		"temporal-setup":     {"postgresql": types.ServiceConditionHealthy},
		"database-setup":     {"postgresql": types.ServiceConditionHealthy},
		"temporal":           {"temporal-setup": types.ServiceConditionCompletedSuccessfully},
		"temporal-namespace": {"temporal": types.ServiceConditionHealthy},
		"temporal-ui":        {"temporal": types.ServiceConditionHealthy},
		"migrate":            {"database-setup": types.ServiceConditionCompletedSuccessfully},
		"worker": {
			"temporal-namespace": types.ServiceConditionCompletedSuccessfully, "migrate": types.ServiceConditionCompletedSuccessfully,
			"simulator": types.ServiceConditionHealthy,
		},
	} {
		got := map[string]string{}
		for other, dependency := range service(t, project, name).DependsOn {
			got[other] = dependency.Condition
			require.True(t, dependency.Required)
			needed := service(t, project, other)
			if dependency.Condition == types.ServiceConditionHealthy {
				require.NotNil(t, needed.HealthCheck, "%s needs a health check", other)
			} else {
				require.Empty(t, needed.Restart, "%s must not restart: it would never complete", other)
			}
		}
		require.Equal(t, needs, got, name)
	}
}

func TestImagesHaveVersionTags(t *testing.T) {
	for name, s := range load(t).Services {
		_, tag, found := strings.Cut(s.Image, ":")
		require.True(t, found, "%s: %s", name, s.Image)
		if s.Build != nil {
			continue // built from this repository
		}
		require.Regexp(t, `^\d+\.\d+`, tag, name)
	}
}

func TestStopGracePeriodIsLongerThanStopTimeout(t *testing.T) {
	project := load(t)
	grace := service(t, project, "worker").StopGracePeriod
	require.NotNil(t, grace)
	stop := time.Duration(workerConfig(t, project).Worker.StopTimeout)
	require.Greater(t, time.Duration(*grace), stop+10*time.Second, "stop_timeout is %s, and the worker needs time to close", stop)
}

func TestFlorinsContainersHaveNoPrivileges(t *testing.T) {
	project := load(t)
	for _, name := range []string{"worker", "migrate", "simulator", "secrets", "database-setup"} {
		s := service(t, project, name)
		require.True(t, s.ReadOnly)
		require.Equal(t, []string{"ALL"}, s.CapDrop)
		require.Empty(t, s.CapAdd)
		require.False(t, s.Privileged)
		require.Empty(t, s.User, "the image sets the user, which is not root")
		require.Contains(t, s.SecurityOpt, "no-new-privileges:true")
	}
}

func TestMountedFilesAreInTheRepository(t *testing.T) {
	for name, s := range load(t).Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				info, err := os.Stat(v.Source)
				require.NoError(t, err, name)
				require.False(t, info.IsDir())
			}
		}
		if len(s.Entrypoint) == 2 {
			require.NotEmpty(t, mounted(t, s, s.Entrypoint[1]), "the entrypoint of %s is a mounted script", name)
		}
	}
}

func TestOverrideReplacesTheSimulatorByStripe(t *testing.T) {
	const override = "deploy/compose/stripe/compose.override.yaml"
	// docker compose finds it beside docker-compose.yml, so its paths are relative to there.
	options, err := cli.NewProjectOptions([]string{root + "docker-compose.yml", root + override}, cli.WithEnv(nil), cli.WithDefaultProfiles(),
		cli.WithWorkingDirectory(root))
	require.NoError(t, err)
	project, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	require.NotContains(t, project.ServiceNames(), "simulator")
	worker := service(t, project, "worker")
	require.NotContains(t, environment(worker), "SIMULATOR_API_KEY")
	require.NotContains(t, worker.DependsOn, "simulator")
	loaded := workerConfig(t, project)
	require.Equal(t, mounted(t, service(t, project, "migrate"), "/etc/florin/worker.yaml"), mounted(t, worker, "/etc/florin/worker.yaml"))
	stripe := loaded.Processors[loaded.DefaultProcessor]
	require.Equal(t, "stripe", stripe.Adapter)
	files := []string{stripe.APIKey.File}
	for _, secret := range stripe.WebhookSecrets {
		files = append(files, secret.File)
	}
	var secrets []string
	for _, s := range worker.Secrets {
		require.Equal(t, s.Source, filepath.Base(project.Secrets[s.Source].File))
		secrets = append(secrets, "/run/secrets/"+s.Source)
	}
	require.Equal(t, files, secrets)
	require.Equal(t, port(t, loaded.Webhooks.Listen), strconv.Itoa(int(worker.Ports[len(worker.Ports)-1].Target)))
	for _, p := range worker.Ports {
		require.Equal(t, "127.0.0.1", p.HostIP)
	}
}
