// Package app opens what a configuration names: the store, the processors, the connection to Temporal, the workers. Package worker,
// the commands, the sandbox and tests are built on it.
package app

import (
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/processor/stripe"
)

// BuiltIn are the adapters that ship with Florin.
var BuiltIn = config.Adapters{"rest": rest.Adapter(), "stripe": stripe.Adapter()}
