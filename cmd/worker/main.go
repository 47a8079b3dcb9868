// Command worker runs the payment workflows and the calls to the processors.
package main

import (
	"os"

	"github.com/florinpay/florin/internal/workercli"
)

func main() { os.Exit(workercli.Main()) }
