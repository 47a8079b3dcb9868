package environment

import (
	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

// TemporalCommand returns the hidden command temporal, which runs a Temporal server until it is killed: [StartTemporal] with the flags --port and
// --dir. A program starts itself with it, so that the server is a process of its own.
func TemporalCommand() *cobra.Command {
	var port int
	var dir string
	cmd := &cobra.Command{
		Use: "temporal", Short: "Run a Temporal server until it is killed", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logging := zap.NewProductionConfig()
			logging.Level.SetLevel(zap.WarnLevel)
			logger, err := logging.Build()
			if err != nil {
				return err
			}
			stop, err := StartTemporal(cmd.Context(), port, dir, logger)
			if err != nil {
				return err
			}
			<-cmd.Context().Done()
			return stop()
		},
	}
	cmd.Flags().IntVar(&port, "port", 0, "port of the frontend")
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the database; without it, the database is in memory")
	return cmd
}
