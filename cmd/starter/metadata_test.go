package main

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func TestMetadataIsTakenAsItIs(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want map[string]string
		err  string
	}{
		"one pair":            {args: []string{"a=1"}, want: map[string]string{"a": "1"}},
		"two pairs":           {args: []string{"a=1", "b=2"}, want: map[string]string{"a": "1", "b": "2"}},
		"quotes and a comma":  {args: []string{`k="x,y"`}, want: map[string]string{"k": `"x,y"`}},
		"quotes around all":   {args: []string{`"k=v"`}, want: map[string]string{`"k`: `v"`}},
		"equals sign":         {args: []string{"query=a=1,b=2"}, want: map[string]string{"query": "a=1,b=2"}},
		"line break":          {args: []string{"k=a\nb"}, want: map[string]string{"k": "a\nb"}},
		"empty value":         {args: []string{"k="}, want: map[string]string{"k": ""}},
		"without equals sign": {args: []string{"order"}, err: "order must be formatted as key=value"},
		"key twice":           {args: []string{"a=1", "a=2"}, err: "a is given twice"},
	} {
		t.Run(name, func(t *testing.T) {
			var got map[string]string
			flags := pflag.NewFlagSet("starter", pflag.ContinueOnError)
			flags.Var(metadataFlag{&got}, "metadata", "")
			var args []string
			for _, pair := range tt.args {
				args = append(args, "--metadata", pair)
			}
			err := flags.Parse(args)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}
