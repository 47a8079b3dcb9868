package e2e

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/florinpay/florin/sandbox/environment"
)

func listRequest(query string) *workflowservice.ListWorkflowExecutionsRequest {
	return &workflowservice.ListWorkflowExecutionsRequest{Namespace: "default", Query: query}
}

func TestErrorForAPortInUseNamesTheFlag(t *testing.T) {
	t.Parallel()
	inUse, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, inUse.Close()) }()
	address, ok := inUse.Addr().(*net.TCPAddr)
	require.True(t, ok)
	for flag, ports := range map[string]environment.Ports{
		"--temporal-port":  {Temporal: address.Port},
		"--web-port":       {Web: address.Port},
		"--simulator-port": {Simulator: address.Port},
		"--health-port":    {Health: address.Port},
	} {
		_, err := environment.Start(t.Context(), environment.Options{Ports: ports})
		require.ErrorContains(t, err, flag)
		require.ErrorContains(t, err, address.String())
	}
}
