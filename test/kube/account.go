package kubetest

import (
	"context"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Account connects as a ServiceAccount that exists, with a token that the API server made for it: RBAC decides what it may.
func (s *Server) Account(t testing.TB, namespace, name string) *rest.Config {
	t.Helper()
	request, err := s.Client(t).CoreV1().ServiceAccounts(namespace).CreateToken(context.Background(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := s.Config(t)
	config.BearerToken = request.Status.Token
	return config
}
