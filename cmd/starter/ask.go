package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/priority"
	"github.com/florinpay/florin/payment"
)

// A worker with a free slot takes a lookup at once, so that after askStartTimeout none is there. askTimeout bounds the whole lookup.
const (
	askStartTimeout = 5 * time.Second
	askTimeout      = time.Minute
)

// absenceRule is what "not found" proves at a processor whose configuration only the worker has.
const absenceRule = "this proves that no money moved only once the processor's absence_proof_after in the worker's configuration has " +
	"passed since the last send; without that setting, it never does"

// ask prints the record that a processor has of a charge or refund, as a worker reads it: it works for every adapter, and needs neither
// the worker's configuration nor its secrets. An empty name means the processor that Florin has stored. chargeKey may be empty; it
// is the key of the charge that a refund is of.
func ask(cmd *cobra.Command, s subject, name, chargeKey string) error {
	c, processors, closeClient, err := connect(cmd.Context())
	if err != nil {
		return err
	}
	defer closeClient()
	if err := s.identify(cmd.Context(), c); err != nil {
		return withReference(err, s.lookup())
	}
	what, call := "payment", s.lookup()
	var stored string
	if s.isRefund {
		what = "refund"
		var refund payment.Refund
		refund, err = c.GetRefund(cmd.Context(), s.merchant, s.key)
		stored, call.NotBefore = refund.Processor, refund.CreatedAt
		if chargeKey != "" {
			charge, err := c.Get(cmd.Context(), s.merchant, chargeKey)
			if err != nil && !errors.Is(err, florin.ErrStopped) {
				return err
			}
			call.ProcessorPaymentID = charge.ProcessorPaymentID
		}
	} else {
		var charge payment.Charge
		charge, err = c.Get(cmd.Context(), s.merchant, s.key)
		stored, call.NotBefore, call.ProcessorPaymentID = charge.Processor, charge.CreatedAt, charge.ProcessorPaymentID
	}
	switch {
	case name == "" && err != nil && stored == "":
		return fmt.Errorf("%w; name the processor with --processor", err)
	case name == "" && stored == "":
		return usageError{fmt.Errorf("the %s has no processor yet: name one with --processor", what)}
	case name != "" && stored != "" && name != stored:
		// Another processor's "not found" would pass for proof that no money moved.
		return usageError{fmt.Errorf("--processor %q: the %s is of processor %q", name, what, stored)}
	case name == "":
		name = stored
	}
	found, err := askWorker(cmd, processors.temporal, name, payment.ProcessorQuestion{
		MerchantID: s.merchant, IdempotencyKey: s.key, Refund: s.isRefund,
		ProcessorPaymentID: call.ProcessorPaymentID, NotBefore: call.NotBefore,
	})
	if err != nil {
		return err
	}
	from := source{name: name, proof: absenceRule}
	if !found.Found {
		return from.notFound(call)
	}
	return printResult(cmd, from, what, found.Result)
}

// askWorker runs the lookup as an activity on the processor's task queue. It returns florin.ErrNoWorker if no worker takes it.
func askWorker(cmd *cobra.Command, t client.Client, name string, q payment.ProcessorQuestion) (found activities.LookupResult, err error) {
	queue := payment.ProcessorTaskQueue(name)
	handle, err := t.ExecuteActivity(cmd.Context(), client.StartActivityOptions{
		ID: payment.ActivityAskProcessor + "/" + uuid.NewString(), TaskQueue: queue,
		ScheduleToStartTimeout: askStartTimeout, ScheduleToCloseTimeout: askTimeout, Priority: priority.Interactive(q.MerchantID),
	}, payment.ActivityAskProcessor, q)
	if err == nil {
		err = handle.Get(cmd.Context(), &found)
	}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START {
		return found, fmt.Errorf("%w %q, or the queue is paused: start a worker, or use --direct", florin.ErrNoWorker, queue)
	}
	return found, err
}
