package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/books"
)

var booksAttacks = []attack{{name: "books: money without a record, or a record without money", try: func(ctx context.Context, t *target) (result, error) {
	return t.compareBooks(ctx, func(request) any { return nil })
}}}

// compareBooks compares all payments that the store has with the processor's ledger. Of the refunds, it reads those that the attacks have made.
func (t *target) compareBooks(ctx context.Context, as prover) (result, error) {
	var charges []payment.Charge
	for cursor := ""; ; {
		filter := object{"limit": 500}
		if cursor != "" {
			filter["cursor"] = cursor
		}
		var page payment.Page
		if err := t.readAs(ctx, as, "ListPayments", &page, filter); err != nil {
			return result{}, err
		}
		for _, c := range page.Payments {
			if c.Processor != "hostile" && c.MerchantID != pretended { // the hostile processor has no ledger
				charges = append(charges, c)
			}
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	ledger, err := t.ledger(ctx)
	if err != nil {
		return result{}, err
	}
	var refunds []payment.Refund
	for _, key := range t.refunds {
		var r payment.Refund
		if err := t.readAs(ctx, as, "GetRefund", &r, "acme", key); err != nil {
			return result{}, err
		}
		refunds = append(refunds, r)
	}
	// What an operator has resolved falsely is his own doing.
	resolved := map[string]bool{}
	for _, c := range charges {
		resolved[c.PaymentID] = c.Failure != nil && strings.HasPrefix(c.Failure.Message, "resolved by") || c.Status == payment.Succeeded && c.ProcessorPaymentID == ""
	}
	charges = slices.DeleteFunc(charges, func(c payment.Charge) bool { return resolved[c.PaymentID] })
	ledger.Payments = slices.DeleteFunc(ledger.Payments, func(p simulator.LedgerPayment) bool {
		return resolved[p.Metadata["florin_payment_id"]] || p.Metadata["florin_merchant_id"] == pretended
	})
	ledger.Refunds = slices.DeleteFunc(ledger.Refunds, func(r simulator.LedgerRefund) bool { return r.Metadata["florin_merchant_id"] == pretended })
	comparison := books.Compare(charges, refunds, ledger)
	if comparison.DoubleCharges > 0 || len(comparison.Differences) > 0 {
		return succeeded("%d differences, such as %s", len(comparison.Differences), comparison.Differences[0]), nil
	}
	return repelled("%d payments agree with the ledger", len(charges)), nil
}

// fileAttacks are on what the worker leaves behind, and on what it reads.
var fileAttacks = []attack{
	{name: "files: others can read or write the worker's files", try: openFiles},
	{name: "configuration: errors quote a literal secret", try: quotedSecrets},
	{name: "configuration: YAML bombs", try: yamlBombs},
	{name: "audit log: changed records are not found", try: tamperedAudit},
}

func openFiles(ctx context.Context, t *target) (result, error) {
	var open []string
	found := map[string]bool{}
	err := filepath.WalkDir(t.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == "binaries" {
				return filepath.SkipDir
			}
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			open = append(open, fmt.Sprintf("%s %s", filepath.Base(path), info.Mode().Perm()))
		}
		found[filepath.Base(path)] = true
		return err
	})
	if err == nil && (!found["florin.db"] || !found["audit.log"]) {
		err = fmt.Errorf("the worker has left %v", found)
	}
	if len(open) > 0 {
		return succeeded("%v", open), err
	}
	return repelled("%d files have mode 0600", len(found)), err
}

// quotedSecrets writes a secret to each place of a configuration.
func quotedSecrets(ctx context.Context, t *target) (result, error) {
	const secret = "sk_live_51Hmallory0987654321" //nolint:gosec // it is nobody's
	const valid = "processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', api_key: {env: KEY}}}\n"
	tried := 0
	var quoted []string
	for _, content := range []string{
		"processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', api_key: SECRET}}",
		"processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', api_key: {value: SECRET}}}",
		"processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', api_key: {env: SECRET, file: SECRET}}}",
		"processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', api_key: {SECRET: x}}}",
		"processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', api_key: [SECRET]}}",
		"processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', api_key: {env: KEY}, webhook_secrets: [SECRET]}}",
		"processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', api_key: {env: KEY}, webhook_secrets: SECRET}}",
		"processors: {p: {adapter: rest, base_url: 'http://user:SECRET@127.0.0.1:1', api_key: {env: KEY}}}",
		"processors: {p: {adapter: rest, base_url: 'https://example.com/?key=SECRET', api_key: {env: KEY}}}",
		"processors: {p: {adapter: rest, base_url: 'SECRET', api_key: {env: KEY}}}",
		"processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', oauth: {client_secret: SECRET}}}",
		"processors: {p: {adapter: SECRET, base_url: 'http://127.0.0.1:1', api_key: {env: KEY}}}",
		"processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', api_key: {env: KEY}, api_kye: SECRET}}",
		"processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', api_key: {env: KEY}, http_timeout: SECRET}}",
		"processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', api_key: {env: KEY}, max_concurrent_calls: SECRET}}",
		valid + "store: {postgres: 'postgres://florin:SECRET@db/florin'}", valid + "store: {postgres: {url: SECRET}}", valid + "store: SECRET",
		valid + "authorize: {audience: florin, secret: SECRET}", valid + "authorize: {audience: florin, jwks: {url: 'https://u:SECRET@example.com'}}",
		valid + "audit: {path: off, max_size_mb: SECRET}", valid + "log: {level: SECRET}", valid + "webhooks: {listen: SECRET}",
		valid + "secret: SECRET", valid + "SECRET: x", valid + "SECRET", "- SECRET", "SECRET", "processors: {p: {api_key: SECRET", "a: !!SECRET x", "a: &SECRET b\nc: *SECRETS",
		"api_key: \"SECRET", "api_key: |\n SECRET\n\tx", valid + "default_processor: SECRET",
	} {
		path := t.file("secret.yaml")
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(content, "SECRET", secret)), 0o600); err != nil {
			return result{}, err
		}
		for _, args := range [][]string{{"config", "check", path}, {"config", "print", path}, {"--config", path}} {
			limited, cancel := context.WithTimeout(ctx, 10*time.Second)
			output, code, err := t.execute(limited, "worker", args...)
			cancel()
			if err != nil {
				return result{}, fmt.Errorf("worker %v with %q: %w", args, content, err)
			}
			tried++
			if code != 0 && strings.Contains(output, secret[:12]) {
				quoted = append(quoted, content)
			}
			if code == 0 { // the worker would start with it
				break
			}
		}
	}
	if len(quoted) > 0 {
		quoted = slices.Compact(quoted)
		return succeeded("%d: %q", len(quoted), quoted), nil
	}
	return repelled("%d runs quote nothing of it", tried), nil
}

func yamlBombs(ctx context.Context, t *target) (result, error) {
	var aliases strings.Builder
	aliases.WriteString("a0: &a0 [x, x]\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&aliases, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	var merged strings.Builder
	merged.WriteString("m0: &m0 {a: 1}\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&merged, "m%d: &m%d {<<: [*m%d, *m%d], k%d: *m%d}\n", i, i, i-1, i-1, i, i-1)
	}
	for name, content := range map[string]string{
		"aliases": aliases.String(), "merges": merged.String(), "deep": strings.Repeat("[", 100000), "deep maps": strings.Repeat("{a: ", 50000),
		"large": "a: " + strings.Repeat("x", 64<<20), "itself": "a: &a [*a]", "many keys": strings.Repeat("k: v\n", 500000), "anchors": strings.Repeat("- &a x\n", 200000),
		"number": "processors: {p: {max_concurrent_calls: 1" + strings.Repeat("0", 100000) + "}}", "indented": strings.Repeat(" ", 1<<20) + "a: b",
	} {
		path := t.file("bomb.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return result{}, err
		}
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		began := time.Now()
		output, code, err := t.execute(limited, "worker", "config", "check", path)
		cancel()
		if err != nil && ctx.Err() == nil {
			return succeeded("%s takes longer than %s", name, time.Since(began)), nil
		}
		if err != nil {
			return result{}, err
		}
		if code != 1 || strings.Contains(output, "goroutine ") || len(output) > 64<<10 {
			return succeeded("%s: exit code %d, %d bytes: %.100s", name, code, len(output), output), nil
		}
	}
	return repelled("each ends with an error"), os.Remove(t.file("bomb.yaml"))
}

// tamperedAudit changes the audit log that the worker has written, in each way that hides something.
func tamperedAudit(ctx context.Context, t *target) (result, error) {
	if err := t.startOpen(ctx); err != nil { // on the file that a worker before it has ended
		return result{}, err
	}
	for i := range 10 {
		if _, err := t.succeeded(ctx, "acme", fmt.Sprintf("audited %d", i)); err != nil {
			return result{}, err
		}
	}
	if err := t.stopWorker(ctx); err != nil {
		return result{}, err
	}
	content, err := os.ReadFile(t.file("audit.log"))
	if err != nil {
		return result{}, err
	}
	lines := slices.Collect(strings.Lines(string(content)))
	if len(lines) < 10 {
		return result{}, fmt.Errorf("the audit log has only %d lines", len(lines))
	}
	verify := func(lines []string) (string, int, error) {
		path := t.file("tampered.log")
		if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil { //nolint:gosec // the path is the attack's own
			return "", 0, err
		}
		return t.execute(ctx, "worker", "audit", "verify", path)
	}
	if output, code, err := verify(lines); err != nil || code != 0 {
		return succeeded("the log that the worker has written is not verified (exit code %d): %s", code, output), err
	}
	middle := len(lines) / 2
	edit := func(i int, from, to string) []string {
		edited := slices.Clone(lines)
		edited[i] = strings.Replace(edited[i], from, to, 1)
		return edited
	}
	swapped := slices.Clone(lines)
	swapped[middle], swapped[middle+1] = swapped[middle+1], swapped[middle]
	for name, tampered := range map[string][]string{
		"edited":           edit(middle, `"`, ` "`),
		"first edited":     edit(0, `"`, ` "`),
		"last edited":      edit(len(lines)-1, `"`, ` "`),
		"reordered":        swapped,
		"gap":              slices.Delete(slices.Clone(lines), middle, middle+1),
		"larger gap":       slices.Delete(slices.Clone(lines), 3, middle),
		"end cut off":      lines[:len(lines)-1],
		"half of a line":   append(slices.Clone(lines[:middle]), lines[middle][:len(lines[middle])/2]),
		"twice":            slices.Insert(slices.Clone(lines), middle, lines[middle]),
		"line of others":   slices.Insert(slices.Clone(lines), middle, "{}\n"),
		"empty":            nil,
		"appended":         append(slices.Clone(lines), lines[len(lines)-1]),
		"replayed in full": append(slices.Clone(lines), lines...),
	} {
		output, code, err := verify(tampered)
		if err != nil {
			return result{}, err
		}
		if code == 0 {
			return succeeded("%s: %s", name, output), nil
		}
	}
	return repelled("each of 13 changes is found in %d records", len(lines)), os.Remove(t.file("tampered.log"))
}
