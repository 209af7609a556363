package live

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// trouble is why a request did not work: a sentence, the way out, a word for metrics from a bounded set, and the state of
// the watch that follows from it.
type trouble struct {
	state  State
	reason string
	err    error
	remedy string
	lost   bool // nobody answered
}

// Errors that are made here.
var (
	// errNoAnswer says that the API server took a request and said nothing.
	errNoAnswer = fmt.Errorf("no answer within %s", patience)
	// errBrief says that a stream ended before it had said anything.
	errBrief = errors.New("the stream ended at once")
	// errNoStream says that a list cannot be had as a stream.
	errNoStream = errors.New("lists are not streamed")
)

const checkNetwork = "check the address and what lies between: routes, firewalls, network policies"

// explain makes sense of an error of the API server, or of the way to it.
func explain(err error, r rule) trouble {
	var status apierrors.APIStatus
	switch {
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), `"system:anonymous"`):
		return trouble{state: StateForbidden, reason: "anonymous", err: err, remedy: "give credentials: the kubeconfig's user has none that the API server looks at"}
	case apierrors.IsForbidden(err):
		return trouble{state: StateForbidden, reason: "forbidden", err: err, remedy: "add the rule " + r.String()}
	case apierrors.IsNotFound(err) && strings.Contains(r.group, "."): // the groups of custom resources, and newer ones of Kubernetes
		return absent(fmt.Errorf("the API server has no %s", r.full()), "nothing, where the cluster has no use for it")
	case apierrors.IsNotFound(err):
		return absent(fmt.Errorf("the API server has no %s: %w", r.full(), err), "check that this is the address of a Kubernetes API server")
	case apierrors.IsUnauthorized(err):
		return broken("unauthorized", fmt.Errorf("the API server does not know who asks: %w", err),
			"renew the credentials: in a pod its service account must exist, outside log in again and try `kubectl get nodes` with the same kubeconfig and context")
	case apierrors.IsTooManyRequests(err):
		return broken("busy", err, "nothing, when it passes; otherwise look at the API server's flow schemas and load")
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		return broken("expired", err, "")
	case errors.As(err, &status):
		return broken("server", err, "look into the log of the API server")
	}
	t := explainConnection(inner(err))
	t.lost = true
	return t
}

func absent(err error, remedy string) trouble {
	return trouble{state: StateAbsent, reason: "absent", err: err, remedy: remedy}
}

func broken(reason string, err error, remedy string) trouble {
	return trouble{state: StateBroken, reason: reason, err: err, remedy: remedy}
}

// inner drops what differs between the watches: the URL that was asked for.
func inner(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func explainConnection(err error) trouble {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &unknown):
		return broken("untrusted", err, "give the kubeconfig the authority that signed the API server's certificate (certificate-authority)")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return broken("expired_certificate", fmt.Errorf("the API server's certificate is valid from %s to %s only: %w",
			invalid.Cert.NotBefore.Format(time.RFC3339), invalid.Cert.NotAfter.Format(time.RFC3339), err), "renew it, or set this machine's clock right")
	case errors.As(err, &name):
		return broken("wrong_name", err, "use an address that the API server's certificate holds, or set tls-server-name in the kubeconfig")
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return broken("no_tls", err, "the server of the kubeconfig does not speak TLS: check its address and port")
	case errors.As(err, &alert):
		return broken("client_certificate", err, "the API server refuses our certificate: check client-certificate of the kubeconfig")
	case errors.As(err, &dns):
		return broken("dns", err, "check the name of the API server, and the resolver of this machine")
	case errors.Is(err, syscall.ECONNREFUSED):
		return broken("refused", err, "nothing listens there: is the API server up, and is its address right?")
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return broken("unreachable", err, checkNetwork)
	case errors.Is(err, errNoAnswer), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return broken("timeout", err, checkNetwork)
	case errors.Is(err, errBrief), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return broken("closed", err, "is there a proxy between, and the API server healthy?")
	case strings.Contains(err.Error(), "getting credentials"):
		return broken("credentials", err, "run the command that the kubeconfig names for credentials (exec) by hand, as the same user")
	default:
		return broken("other", err, "")
	}
}

// again reports whether a stream that could not be opened is asked for once more, since the error says nothing about what
// was asked for. One that begins with a list is only where nobody answered at all: a list by pages may work.
func again(err error, initial bool) bool {
	var status apierrors.APIStatus
	switch {
	case errors.Is(err, errNoStream):
		return false
	case !errors.As(err, &status), apierrors.IsTooManyRequests(err):
		return true
	case initial:
		return false
	default:
		return apierrors.IsUnauthorized(err) || status.Status().Code >= 500 &&
			!apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
	}
}
