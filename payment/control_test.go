package payment

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInvalidControlChangesAreRefused(t *testing.T) {
	valid := ControlChange{Processor: "acme", Action: ControlRate, PerSecond: 2.5, By: "jane", Reason: "acme halved our quota"}
	require.NoError(t, valid.Validate())
	for name, tt := range map[string]struct {
		change func(*ControlChange)
		want   string
	}{
		"no processor":           {change: func(c *ControlChange) { c.Processor = "" }, want: "processor: want the name"},
		"a strange processor":    {change: func(c *ControlChange) { c.Processor = "a b" }, want: "processor: "},
		"no action":              {change: func(c *ControlChange) { c.Action, c.PerSecond = "", 0 }, want: "action: "},
		"an unknown action":      {change: func(c *ControlChange) { c.Action, c.PerSecond = "stop", 0 }, want: "want one of [pause resume rate]"},
		"a negative rate":        {change: func(c *ControlChange) { c.PerSecond = -1 }, want: "per_second: want 0 to 1000000 calls per second"},
		"a rate that is no rate": {change: func(c *ControlChange) { c.PerSecond = math.NaN() }, want: "per_second: "},
		"an infinite rate":       {change: func(c *ControlChange) { c.PerSecond = math.Inf(1) }, want: "per_second: "},
		"a rate of a pause":      {change: func(c *ControlChange) { c.Action = ControlPause }, want: "per_second: want it only with action rate"},
		"no operator":            {change: func(c *ControlChange) { c.By = "" }, want: "by: want 1 to 80 characters"},
		"no reason":              {change: func(c *ControlChange) { c.Reason = "" }, want: "reason: want 1 to 500 characters"},
		"a long reason":          {change: func(c *ControlChange) { c.Reason = strings.Repeat("x", 501) }, want: "reason: want 1 to 500 characters"},
		"a reason of two lines":  {change: func(c *ControlChange) { c.Reason = "a\nb" }, want: "reason: "},
		"a card as the reason":   {change: func(c *ControlChange) { c.Reason = "4242424242424242" }, want: "reason: looks like a card number"},
	} {
		t.Run(name, func(t *testing.T) {
			c := valid
			tt.change(&c)
			require.ErrorContains(t, c.Validate(), tt.want)
		})
	}
}
