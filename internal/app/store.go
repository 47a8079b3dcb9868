package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/store"
)

// OpenStore opens the store. It creates a missing SQLite file with its tables. Any other database must have been migrated:
// otherwise OpenStore returns [store.ErrOutdated].
func OpenStore(ctx context.Context, s config.Store, logger *zap.Logger) (*store.Store, error) {
	dsn, err := s.DSN()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if s.SQLite != "" {
		if _, err := os.Stat(s.SQLite); errors.Is(err, os.ErrNotExist) {
			if _, _, err := store.Migrate(ctx, dsn); err != nil {
				return nil, fmt.Errorf("store.sqlite: %w", err)
			}
			logger.Info("created the store", zap.String("sqlite", s.SQLite))
		}
	}
	opened, err := store.Open(ctx, dsn, store.AllowOwner(s.AllowOwner), store.AllowInsecure(s.Insecure), store.Reread(s.DSN, func(err error) {
		logger.Warn("store: the URL of the database could not be used: the last one stays in use", zap.Error(err))
	}))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return opened, nil
}

// MigrateStore migrates the schema of the store to the version of this program, and returns the versions before and after. Unless
// grantTo is empty, it gives the role of this name the privileges that a worker needs, see [store.Grant]. It is safe to repeat.
func MigrateStore(ctx context.Context, s config.Store, grantTo string) (from, to int64, err error) {
	dsn, err := s.DSN()
	if err != nil {
		return 0, 0, fmt.Errorf("store: %w", err)
	}
	from, to, err = store.Migrate(ctx, dsn, store.AllowInsecure(s.Insecure))
	if err == nil && grantTo != "" {
		err = store.Grant(ctx, dsn, grantTo, store.AllowInsecure(s.Insecure))
	}
	return from, to, err
}
