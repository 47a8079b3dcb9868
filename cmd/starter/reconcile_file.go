package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/florinpay/florin/internal/settlement"
	"github.com/florinpay/florin/payment"
)

// addReconcileFile adds the subcommand file to starter reconcile, and the same as --file.
func addReconcileFile(parent *cobra.Command) {
	var f settlementFlags
	cmd := &cobra.Command{
		Use:   "file FILE",
		Short: "Compare a processor's settlement file with what is stored",
		Long: `Compare a processor's settlement file with what is stored.

FILE is a CSV file with a header; - reads standard input. --map says which column has what. Each difference is printed, and then a table
that adds up: for each currency, what the file has, what is stored, and how the findings explain the difference. Nothing is stored, and
no payment changes. The exit code is 1 if there is a difference.`,
		Example: `  starter reconcile file settlement.csv --processor psp --map reference=OrderRef,amount=Gross,currency=Currency,created=Date
  starter reconcile file report.csv --processor stripe-eu --preset stripe
  starter reconcile file januar.csv --processor psp --delimiter ';' --decimal , --thousands . --zone Europe/Berlin \
    --map id=Nummer,type=Art,amount=Betrag,currency=Währung,created=Datum --value type:Zahlung=charge --value type:Gutschrift=refund`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("%d files: want one", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	f.flags(cmd.Flags())
	parent.AddCommand(cmd)

	var path string
	var of settlementFlags
	parent.Flags().StringVar(&path, "file", "", "compare a settlement file, as starter reconcile file does")
	of.flags(parent.Flags())
	help := parent.RunE
	parent.RunE = func(cmd *cobra.Command, args []string) error {
		if path == "" {
			return help(cmd, args)
		}
		return of.run(cmd, path)
	}
}

// settlementFlags are the flags of starter reconcile file.
type settlementFlags struct {
	processor, preset, mapping                   string
	values                                       []string
	amounts, decimal, thousands, delimiter, zone string
	from, to                                     string
	margin, lookback                             time.Duration
	show                                         int
}

func (f *settlementFlags) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.processor, "processor", "", "name of the processor that the file is of")
	flags.StringVar(&f.mapping, "map", "", "columns of the file, such as reference=OrderRef,amount=Gross,currency=Currency. Fields: reference, id "+
		"(the processor's), payment (the processor's id of a refund's payment), amount, currency, type, status, created, fee, net")
	flags.StringVar(&f.preset, "preset", "", "a known format: stripe. --map replaces its columns")
	flags.StringArrayVar(&f.values, "value", nil, "what a value means, such as type:SALE=charge, type:PAYOUT=ignore or status:OK=succeeded; repeat the flag")
	flags.StringVar(&f.amounts, "amounts", "major", "major (12.50) or minor (1250) units")
	flags.StringVar(&f.decimal, "decimal", ".", "decimal separator: . or ,")
	flags.StringVar(&f.thousands, "thousands", "", "separator of thousands; without it, amounts have none")
	flags.StringVar(&f.delimiter, "delimiter", "", "separator of fields; without it, a comma, semicolon, tab or | as in the header")
	flags.StringVar(&f.zone, "zone", "UTC", "time zone of times without one, such as Europe/Berlin")
	flags.StringVar(&f.from, "from", "", "compare what was created at this time or later, such as 2026-11-22T00:00:00Z; without it, from the file's first line")
	flags.StringVar(&f.to, "to", "", "compare what was created before this time; without it, up to the file's last line")
	flags.DurationVar(&f.margin, "margin", time.Hour,
		"what the file lacks counts as unexplained and not as missing if it was created that near to an end of the range: another file may have it")
	flags.DurationVar(&f.lookback, "lookback", 7*24*time.Hour, "how long before the range a payment may have been created that the file settles")
	flags.IntVar(&f.show, "show", 100, "maximum number of findings to print; 0: all. --json prints all")
}

// format returns the format of the file.
func (f *settlementFlags) format() (settlement.Format, error) {
	format, err := settlement.NewFormat(f.preset, f.mapping, f.values)
	if err != nil {
		return format, fmt.Errorf("--map, --preset and --value: %w", err)
	}
	switch {
	case f.amounts != "major" && f.amounts != "minor":
		return format, fmt.Errorf("--amounts %q: want major or minor", f.amounts)
	case f.decimal != "." && f.decimal != ",":
		return format, fmt.Errorf("--decimal %q: want . or ,", f.decimal)
	case f.thousands == f.decimal:
		return format, fmt.Errorf("--thousands %q: is the decimal separator, too", f.thousands)
	case !slices.Contains([]string{"", ".", ",", " ", "'"}, f.thousands):
		return format, fmt.Errorf("--thousands %q: want one of . , ' and a blank", f.thousands)
	}
	format.Minor, format.Decimal, format.Thousands = f.amounts == "minor", f.decimal, f.thousands
	switch delimiter := strings.ReplaceAll(f.delimiter, `\t`, "\t"); {
	case len(delimiter) > 1 || strings.ContainsAny(delimiter, "\"\r\n\x00"):
		return format, fmt.Errorf("--delimiter %q: want one ASCII character", f.delimiter)
	case delimiter != "":
		format.Delimiter = delimiter[0]
	}
	if format.Zone, err = time.LoadLocation(f.zone); err != nil {
		return format, fmt.Errorf("--zone %q: want a name such as Europe/Berlin", f.zone)
	}
	return format, nil
}

// options returns what to compare, without the file and the store.
func (f *settlementFlags) options() (o settlement.Options, err error) {
	o = settlement.Options{Processor: f.processor, Margin: f.margin, Lookback: f.lookback}
	if err := (payment.RefundFilter{Processor: f.processor}).Validate(); err != nil {
		return o, fmt.Errorf("--processor %q: want the name of a configured processor", f.processor)
	}
	if longest := 400 * 24 * time.Hour; f.margin < 0 || f.lookback < 0 || f.margin > longest || f.lookback > longest {
		return o, fmt.Errorf("--margin %s, --lookback %s: want 0 to %s", f.margin, f.lookback, longest)
	}
	if o.From, err = parseTime("--from", f.from); err != nil {
		return o, err
	}
	o.To, err = parseTime("--to", f.to)
	return o, err
}

// run compares a file. It connects to Temporal once the flags and the header of the file are checked.
func (f *settlementFlags) run(cmd *cobra.Command, path string) error {
	format, err := f.format()
	if err != nil {
		return usageError{err}
	}
	o, err := f.options()
	if err != nil {
		return usageError{err}
	}
	in := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return usageError{err}
		}
		defer func() { _ = file.Close() }() // the file is only read
		in = file
	}
	if o.Lines, err = settlement.NewReader(in, format); err != nil {
		return usageError{fmt.Errorf("%s: %w", path, err)}
	}
	if !o.Lines.HasTimes() && (o.From.IsZero() || o.To.IsZero()) {
		return usageError{settlement.ErrNoRange}
	}
	client, processors, closeClient, err := connect(cmd.Context())
	if err != nil {
		return err
	}
	defer closeClient()
	if err := processors.checkKnown(cmd.Context(), client, o.Processor); err != nil {
		return err
	}
	o.Store = client
	return f.compare(cmd, o)
}

// compare prints each difference, and then the table. It returns an error if there is a difference.
func (f *settlementFlags) compare(cmd *cobra.Command, o settlement.Options) error {
	out := cmd.OutOrStdout()
	bar := progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(cmd.ErrOrStderr()),
		progressbar.OptionSetDescription("reading the file"),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetVisibility(!wantsJSON(cmd)),
	)
	o.Progress = func(p settlement.Progress) {
		if bar.IsFinished() {
			return
		}
		bar.Describe(fmt.Sprintf("%d lines, %d payments, %d refunds read", p.Lines, p.Payments, p.Refunds))
		_ = bar.Add(1) // a bar that cannot be drawn is no reason to stop
	}
	found := 0
	o.Report = func(finding settlement.Finding) error {
		if found++; found == 1 { // both may be one terminal
			_ = bar.Finish()
		}
		switch {
		case wantsJSON(cmd):
			return writeJSON(out, finding, "")
		case f.show > 0 && found > f.show:
			return nil
		default:
			return printFinding(out, finding)
		}
	}
	summary, err := settlement.Compare(cmd.Context(), o)
	_ = bar.Finish()
	if errors.Is(err, settlement.ErrNoRange) {
		err = usageError{err}
	}
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		err = writeJSON(out, struct {
			Summary settlement.Summary `json:"summary"`
		}{summary}, "")
	} else {
		if f.show > 0 && found > f.show {
			fmt.Fprintf(out, "… and %d more: see --show\n", found-f.show)
		}
		err = printSettlement(out, summary)
	}
	if n := summary.Found(); err == nil && n > 0 {
		err = fmt.Errorf("%d differences between the file and what is stored", n)
	}
	return err
}

// printFinding prints one line: what differs, where, what has moved according to each side, and why.
func printFinding(w io.Writer, f settlement.Finding) error {
	parts := []string{string(f.Kind)}
	if f.There != nil {
		parts = append(parts, fmt.Sprintf("line %d", f.There.Number))
		for _, name := range []string{f.There.Reference, f.There.ID, f.There.PaymentID} {
			if name != "" {
				parts = append(parts, strconv.Quote(name))
				break
			}
		}
	}
	if f.Here != nil {
		parts = append(parts, f.Here.PaymentID)
		if f.Here.RefundID != "" {
			parts = append(parts, f.Here.RefundID)
		}
	}
	what := ""
	if f.Refund {
		what = "refunded "
	}
	for _, side := range []struct {
		name  string
		moved payment.Money
	}{{"there", f.MovedThere}, {"here", f.MovedHere}} {
		if side.moved.Currency != "" {
			parts = append(parts, what+side.name+" "+side.moved.String())
		}
	}
	if f.Reason != "" {
		parts = append(parts, f.Reason)
	}
	_, err := fmt.Fprintln(w, oneLine(strings.Join(parts, "  ")))
	return err
}

// printSettlement prints the totals.
func printSettlement(w io.Writer, s settlement.Summary) error {
	fmt.Fprintf(w, "%s to %s, %s: %d lines (%d ignored, %d outside), %d payments, %d refunds\n", s.From.Format(time.RFC3339),
		s.To.Format(time.RFC3339), oneLine(s.Processor), s.Lines, s.Ignored, s.Outside, s.Payments, s.Refunds)
	var counts []string
	for _, kind := range slices.Sorted(maps.Keys(s.Findings)) {
		counts = append(counts, fmt.Sprintf("%s=%d", kind, s.Findings[kind]))
	}
	if len(counts) > 0 {
		fmt.Fprintln(w, strings.Join(counts, " "))
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tfile\there\tdifference\texplained\tunexplained\t")
	for _, t := range s.Totals {
		decimal := func(amount int64) string { return payment.Money{Amount: amount, Currency: t.Currency}.Decimal() }
		for _, row := range []struct {
			name string
			settlement.Sums
		}{{"gross", t.Gross}, {"refunds", t.Refunds}} {
			fmt.Fprintf(table, "%s %s\t%s\t%s\t%s\t%s\t%s\t\n", t.Currency, row.name, decimal(row.There), decimal(row.Here),
				decimal(row.Difference()), decimal(row.Explained), decimal(row.Unexplained+row.Unattributed()))
		}
		if t.Fees != 0 || t.Net != 0 {
			fmt.Fprintf(table, "%s fees\t%s\t\t\t\t\t\n", t.Currency, decimal(t.Fees))
			fmt.Fprintf(table, "%s net\t%s\t\t\t\t\t\n", t.Currency, decimal(t.Net))
		}
	}
	return table.Flush()
}
