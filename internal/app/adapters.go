package app

import (
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/processor/stripe"
)

// BuiltIn are the adapters that ship with Florin.
var BuiltIn = config.Adapters{"rest": rest.Adapter(), "stripe": stripe.Adapter()}
