package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/store"
)

// Open opens the store. A new SQLite file gets its tables at once; any other database has to have been migrated.
func (s Store) Open(ctx context.Context, logger *zap.Logger) (*store.Store, error) {
	dsn, err := s.DSN()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if s.SQLite != "" {
		if _, err := os.Stat(s.SQLite); errors.Is(err, os.ErrNotExist) {
			if _, _, err := store.Migrate(ctx, dsn); err != nil {
				return nil, fmt.Errorf("store.sqlite: %w", err)
			}
			logger.Info("made the store", zap.String("sqlite", s.SQLite))
		}
	}
	opened, err := store.Open(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return opened, nil
}

// Migrate brings the schema of the store up to this program's.
func (s Store) Migrate(ctx context.Context) (from, to int64, err error) {
	dsn, err := s.DSN()
	if err != nil {
		return 0, 0, fmt.Errorf("store: %w", err)
	}
	return store.Migrate(ctx, dsn)
}
