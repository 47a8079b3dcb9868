package environment

import (
	"context"
	"fmt"
	"maps"
	"net"
	"strconv"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	serverlog "go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/florinpay/florin/internal/app"
)

const (
	loopback  = "127.0.0.1"
	namespace = client.DefaultNamespace
	retention = 30 * 24 * time.Hour
)

// dynamicConfig makes the embedded server dispatch tasks without delay: the defaults suit many shards, and with a single
// shard each task would wait up to 50 ms.
var dynamicConfig = dynamicconfig.StaticClient{
	dynamicconfig.TransferProcessorMaxPollRPS.Key():   2000,
	dynamicconfig.TimerProcessorMaxPollRPS.Key():      2000,
	dynamicconfig.VisibilityProcessorMaxPollRPS.Key(): 2000,
	// A single host needs no partitions.
	dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
	dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
	// Tasks that wait are dispatched by priority, and those of different merchants in turn.
	dynamicconfig.MatchingEnableFairness.Key(): true,
	// Timers may fire late by this much. It allows for clock skew between hosts, and there is only one host.
	dynamicconfig.TimerProcessorMaxTimeShift.Key(): 10 * time.Millisecond,
	// Until its tasks are acknowledged, a closed workflow cannot be deleted. Each new task scans the ones not acknowledged yet.
	dynamicconfig.TransferProcessorUpdateAckInterval.Key():   time.Second,
	dynamicconfig.VisibilityProcessorUpdateAckInterval.Key(): time.Second,
	dynamicconfig.TimerProcessorUpdateAckInterval.Key():      time.Second,
}

// temporalServer is a complete Temporal server in this process. It is modeled on temporaltest in the source of the
// Temporal server.
type temporalServer struct {
	server  temporal.Server
	address string
}

// StartTemporal starts a Temporal server and nothing else, for a process of its own. It uses the SQLite database in dir,
// which it creates if missing, or one in memory if dir is empty. The server has the namespace default and the given ones.
// stop shuts it down in order.
func StartTemporal(ctx context.Context, port int, dir string, logger *zap.Logger, namespaces ...string) (stop func() error, err error) {
	db, err := sqliteStorage(dir, dir != "")
	if err != nil {
		return nil, err
	}
	server, err := startTemporal(ctx, port, db, nil, logger, append(namespaces, namespace)...)
	if err != nil {
		return nil, err
	}
	return server.stop, nil
}

// StartTemporalOnPostgres is like [StartTemporal] on a new PostgreSQL cluster, in which it creates Temporal's databases.
// The cluster's socket is in socketDir, and its user florin must be allowed to create databases.
func StartTemporalOnPostgres(ctx context.Context, port int, socketDir string, logger *zap.Logger, namespaces ...string) (stop func() error, err error) {
	db, err := createPostgresStorage(socketDir)
	if err != nil {
		return nil, err
	}
	server, err := startTemporal(ctx, port, db, nil, logger, append(namespaces, namespace)...)
	if err != nil {
		return nil, err
	}
	return server.stop, nil
}

// startTemporal starts a server. replaced has the settings of its dynamic configuration that differ from dynamicConfig.
func startTemporal(
	ctx context.Context, port int, db storage, replaced map[dynamicconfig.Key]any, logger *zap.Logger, namespaces ...string,
) (*temporalServer, error) {
	conf, err := serverConfig(ctx, port, db)
	if err != nil {
		return nil, err
	}
	created := make([]*sqlite.NamespaceConfig, len(namespaces))
	for i, name := range namespaces {
		if created[i], err = sqlite.NewNamespaceConfig(conf.ClusterMetadata.CurrentClusterName, name, false, app.SearchAttributes); err != nil {
			return nil, err
		}
		created[i].Detail.Config.Retention = durationpb.New(retention)
	}
	if err := sqlite.CreateNamespaces(db.main, created...); err != nil {
		return nil, err
	}
	log := serverlog.NewZapLogger(logger)
	claims, err := authorization.GetClaimMapperFromConfig(&conf.Global.Authorization, log)
	if err != nil {
		return nil, err
	}
	settings := maps.Clone(dynamicConfig)
	maps.Copy(settings, replaced)
	server, err := temporal.NewServer(
		temporal.WithConfig(conf),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithLogger(log),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return claims }),
		temporal.WithDynamicConfigClient(settings),
		temporal.WithStaticHosts(staticHosts(conf)),
	)
	if err != nil {
		return nil, fmt.Errorf("building the Temporal server: %w", err)
	}
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("starting the Temporal server: %w", err)
	}
	return &temporalServer{server: server, address: conf.PublicClient.HostPort}, nil
}

func serverConfig(ctx context.Context, port int, db storage) (*config.Config, error) {
	// For pprof and for every service but the frontend.
	ports, err := FreePorts(ctx, 4)
	if err != nil {
		return nil, err
	}
	next := func() int { p := ports[0]; ports = ports[1:]; return p }
	service := func(grpc int) config.Service {
		return config.Service{RPC: config.RPC{GRPCPort: grpc, BindOnIP: loopback}}
	}
	address := net.JoinHostPort(loopback, strconv.Itoa(port))
	var c config.Config
	c.Global.PProf = config.PProf{Host: loopback, Port: next()}
	c.Persistence = config.Persistence{
		DefaultStore:     "main",
		VisibilityStore:  "visibility",
		NumHistoryShards: 1,
		DataStores:       map[string]config.DataStore{"main": {SQL: db.main}, "visibility": {SQL: db.visibility}},
	}
	c.ClusterMetadata = &cluster.Config{
		FailoverVersionIncrement: 10,
		MasterClusterName:        "active",
		CurrentClusterName:       "active",
		ClusterInformation: map[string]cluster.ClusterInformation{
			"active": {Enabled: true, InitialFailoverVersion: 1, RPCAddress: address},
		},
	}
	c.DCRedirectionPolicy = config.DCRedirectionPolicy{Policy: "noop"}
	c.Services = map[string]config.Service{
		"frontend": service(port),
		"history":  service(next()),
		"matching": service(next()),
		"worker":   service(next()),
	}
	c.Archival = config.Archival{History: config.HistoryArchival{State: "disabled"}, Visibility: config.VisibilityArchival{State: "disabled"}}
	c.PublicClient = config.PublicClient{HostPort: address}
	c.NamespaceDefaults = config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
		History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
		Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
	}}
	return &c, nil
}

// staticHosts returns the address of each service. Without it, the services would also look for the hosts of the last
// run, on whose ports nothing listens any more, and would dispatch no tasks for a minute.
func staticHosts(c *config.Config) map[primitives.ServiceName]static.Hosts {
	hosts := map[primitives.ServiceName]static.Hosts{}
	for name, service := range c.Services {
		address := net.JoinHostPort(loopback, strconv.Itoa(service.RPC.GRPCPort))
		hosts[primitives.ServiceName(name)] = static.SingleLocalHost(address)
	}
	return hosts
}

func (s *temporalServer) stop() error { return s.server.Stop() }
