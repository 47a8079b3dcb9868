package authorize

import (
	"fmt"
	"slices"
	"strings"

	"github.com/florinpay/florin/internal/caller"
	"github.com/florinpay/florin/payment"
)

var (
	everyone  = []caller.Role{caller.Service, caller.Operator, caller.Reader}
	modifiers = []caller.Role{caller.Service, caller.Operator}
)

// permitted are the roles that may do something; each is enough.
var permitted = map[string][]caller.Role{
	caller.Start + " " + payment.WorkflowCharge: {caller.Service},
	caller.Start + " " + payment.WorkflowRefund: {caller.Service},

	caller.Update + " " + payment.UpdateOutcome: everyone,
	caller.Update + " " + payment.UpdateCapture: modifiers,
	caller.Update + " " + payment.UpdateVoid:    modifiers,
	caller.Update + " " + payment.UpdateResolve: {caller.Operator},

	caller.Query + " " + payment.QueryStatus: everyone,

	caller.Signal + " " + payment.SignalProcessorEvent: modifiers,

	caller.Read + " " + payment.ActivityGetPayment:            everyone,
	caller.Read + " " + payment.ActivityGetRefund:             everyone,
	caller.Read + " " + payment.ActivityGetIdentity:           everyone,
	caller.Read + " " + payment.ActivityAskProcessor:          everyone,
	caller.Read + " " + payment.ActivityListPayments:          everyone,
	caller.Read + " " + payment.ActivityListRefunds:           everyone,
	caller.Read + " " + payment.ActivityListDivergences:       everyone,
	caller.Read + " " + payment.ActivityAcknowledgeDivergence: {caller.Operator},
	caller.Read + " " + payment.ActivityControlProcessor:      {caller.Operator},
	caller.Read + " " + payment.ActivityListProcessors:        {caller.Operator, caller.Reader},
	caller.Read + " " + payment.ActivityListReconciliations:   {caller.Operator, caller.Reader},

	caller.Read + " " + payment.ActivityAddBatchLines:  {caller.Service},
	caller.Read + " " + payment.ActivityGetBatch:       everyone,
	caller.Read + " " + payment.ActivityListBatchLines: everyone,
	caller.Read + " " + payment.ActivityControlBatch:   modifiers,
}

// requireRole returns an error unless the caller may make such a request for any merchant at all.
func requireRole(i caller.Identity, r caller.Request) error {
	roles, ok := permitted[r.Operation()]
	switch {
	case !ok:
		return &Error{Reason: "operation", Message: fmt.Sprintf("no caller may %s", r.Operation())}
	case !slices.ContainsFunc(roles, func(role caller.Role) bool { return slices.Contains(i.Roles, role) }):
		return &Error{Reason: "role", Message: fmt.Sprintf("%s has the roles %v: to %s takes %s", i.Subject, i.Roles, r.Operation(), anyOf(roles))}
	default:
		return nil
	}
}

// requireMerchant returns an error unless the caller may act for the merchant.
func requireMerchant(i caller.Identity, r caller.Request, merchantID string) error {
	switch {
	case i.ActsFor(merchantID):
		return nil
	case merchantID == "":
		return &Error{Reason: "merchant", Message: fmt.Sprintf("%s may not %s for all merchants: name one of %v", i.Subject, r.Operation(), i.Merchants)}
	default:
		return &Error{Reason: "merchant", Message: fmt.Sprintf("%s may not act for merchant %q", i.Subject, merchantID)}
	}
}

func anyOf(roles []caller.Role) string {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = string(role)
	}
	return strings.Join(names, " or ")
}

// merchantOf returns the merchant of a workflow of Florin; empty, which means all of them, for a batch.
func merchantOf(workflowID string) string {
	kind, rest, _ := strings.Cut(workflowID, "/")
	if kind == "batch" || kind == "reconcile" { // of several merchants; about a processor
		return ""
	}
	merchantID, _, _ := strings.Cut(rest, "/")
	return merchantID
}
