package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"

	"github.com/florinpay/florin/payment"
)

// SearchAttributes are the custom search attributes. They have to be registered in the namespace before a worker starts.
var SearchAttributes = map[string]enumspb.IndexedValueType{
	payment.AttributePaymentStatus: enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	payment.AttributePaymentID:     enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	payment.AttributeMerchantID:    enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	payment.AttributeProcessor:     enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	payment.AttributeCurrency:      enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	payment.AttributeFailureClass:  enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	payment.AttributeAmount:        enumspb.INDEXED_VALUE_TYPE_INT,
	payment.AttributeFindings:      enumspb.INDEXED_VALUE_TYPE_INT,
}

// Dial connects to the Temporal server that the TEMPORAL_* environment variables and profiles name, by default to 127.0.0.1:7233 and
// the namespace "default". It returns the options of the client, to which change, if it is not nil, is applied before connecting. It
// refuses a server on another host that TLS does not verify, unless the environment variable FLORIN_TEMPORAL_INSECURE is "true". Its
// errors name the remedy. Dial gives up after 10 seconds.
func Dial(ctx context.Context, logger log.Logger, change func(*client.Options)) (client.Client, client.Options, error) {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, options, fmt.Errorf("the Temporal client's environment or profile: %w", err)
	}
	if options.HostPort == "" {
		options.HostPort = "127.0.0.1:7233"
	}
	if options.Namespace == "" {
		options.Namespace = client.DefaultNamespace
	}
	options.Logger = logger
	Uncompressed(&options)
	if change != nil {
		change(&options)
	}
	if err := requireTLS(options, os.Getenv(insecureVariable)); err != nil {
		return nil, options, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	temporal, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, options, fmt.Errorf("no Temporal server answers at %s: start one (make demo, or docker compose up), "+
			"or set TEMPORAL_ADDRESS: %w", options.HostPort, err)
	}
	return temporal, options, nil
}

// Uncompressed turns off the compression of requests and responses, which is the SDK's default. Those of a charge have a few KB each: to
// compress them takes some 4 % of its CPU time (docs/capacity.md), and saves no round trip.
func Uncompressed(o *client.Options) {
	o.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
}

// insecureVariable is an environment variable, as everything about the connection to Temporal is: it applies to the worker, to starter
// and to programs that embed the worker. A variable of Temporal's own, such as TEMPORAL_TLS=false, is not enough: a profile that is
// right for one server may have it.
const insecureVariable = "FLORIN_TEMPORAL_INSECURE"

// requireTLS returns an error if the server is on another host, and TLS does not verify it. insecure is the value of insecureVariable.
func requireTLS(o client.Options, insecure string) error {
	tls := o.ConnectionOptions.TLS
	verified := tls != nil && !tls.InsecureSkipVerify
	switch {
	case insecure != "" && insecure != "true" && insecure != "false":
		return fmt.Errorf("%s is %q: want true or false", insecureVariable, insecure)
	case verified || isLocal(o.HostPort) || insecure == "true":
		return nil
	case tls == nil:
		return fmt.Errorf("the connection to the Temporal server at %s would not be encrypted: set TEMPORAL_TLS=true, with "+
			"TEMPORAL_TLS_SERVER_CA_CERT_PATH if its certificate is of a private CA, or %s=true", o.HostPort, insecureVariable)
	default:
		return fmt.Errorf("the Temporal server at %s would not be verified: remove TEMPORAL_TLS_DISABLE_HOST_VERIFICATION, with "+
			"TEMPORAL_TLS_SERVER_CA_CERT_PATH if its certificate is of a private CA, or set %s=true", o.HostPort, insecureVariable)
	}
}

// isLocal reports whether a connection to the target does not leave this machine. A target is host:port, or has one of gRPC's
// schemes before it, such as dns:///.
func isLocal(target string) bool {
	scheme, address, found := strings.Cut(target, ":///")
	switch {
	case strings.HasPrefix(target, "unix:"):
		return true
	case found && scheme != "dns" && scheme != "passthrough":
		return false
	case !found:
		address = target
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address // the default port
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// CheckNamespace checks that the namespace exists, that its server has standalone activities, and that it has the search attributes.
// Without standalone activities, with which clients read the store, charges would move money and every read would fail. A missing search attribute would block every payment
// at its first upsert, so CheckNamespace has to be called before a worker polls.
func CheckNamespace(ctx context.Context, temporal client.Client, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := temporal.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	var missing *serviceerror.NamespaceNotFound
	if errors.As(err, &missing) {
		return fmt.Errorf("namespace %q does not exist: create it with `temporal operator namespace create --namespace %s`, "+
			"or set TEMPORAL_NAMESPACE", namespace, namespace)
	}
	if err != nil {
		return fmt.Errorf("describing namespace %q: %w", namespace, err)
	}
	_, err = temporal.WorkflowService().DescribeActivityExecution(ctx, &workflowservice.DescribeActivityExecutionRequest{
		Namespace: namespace, ActivityId: "florin-checks-the-server",
	})
	var noSuchActivity *serviceerror.NotFound
	var unimplemented *serviceerror.Unimplemented
	if errors.As(err, &unimplemented) {
		return fmt.Errorf("the Temporal server has no standalone activities, with which Florin reads payments: "+
			"update it to a version that has them, such as 1.32, and enable them: %w", err)
	}
	if err != nil && !errors.As(err, &noSuchActivity) {
		return fmt.Errorf("checking whether the Temporal server has standalone activities: %w", err)
	}
	list := &operatorservice.ListSearchAttributesRequest{Namespace: namespace}
	registered, err := temporal.OperatorService().ListSearchAttributes(ctx, list)
	if err != nil {
		return fmt.Errorf("listing the search attributes of namespace %q: %w", namespace, err)
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(SearchAttributes)) {
		want := SearchAttributes[name]
		got, ok := registered.GetCustomAttributes()[name]
		switch {
		case !ok:
			problems = append(problems,
				fmt.Sprintf("temporal operator search-attribute create --namespace %s --name %s --type %s", namespace, name, want))
		case got != want:
			problems = append(problems, fmt.Sprintf("# %s is registered as %s but must be %s", name, got, want))
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("search attributes are missing in namespace %q; register them with\n  %s",
			namespace, strings.Join(problems, "\n  "))
	}
	return nil
}
