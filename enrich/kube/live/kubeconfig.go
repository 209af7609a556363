package live

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// load reads how to connect. Relative paths in a kubeconfig are relative to it, commands that give credentials are run when
// they are needed, tokens in files are read again before they expire: all as kubectl does.
func (c Config) load() (*rest.Config, error) {
	if c.Kubeconfig == "" {
		cfg, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("kubernetes.kubeconfig: names no file, and this does not run in a cluster: give --kubeconfig FILE, or set kubernetes.scope to off")
		}
		if err != nil {
			return nil, fmt.Errorf("kubernetes: read the pod's service account: %w; set automountServiceAccountToken to true, or kubernetes.scope to off", err)
		}
		return cfg, nil
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}
	file, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("kubernetes.kubeconfig: %w", err)
	}
	contexts := strings.Join(slices.Sorted(maps.Keys(file.Contexts)), ", ")
	switch _, known := file.Contexts[c.Context]; {
	case c.Context != "" && !known:
		return nil, fmt.Errorf("kubernetes.context: %s has no context %q: it has %s", c.Kubeconfig, c.Context, contexts)
	case c.Context == "" && file.CurrentContext == "":
		return nil, fmt.Errorf("kubernetes.context: %s has no current context: name one of %s", c.Kubeconfig, contexts)
	}
	cfg, err := clientcmd.NewNonInteractiveClientConfig(*file, c.Context, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubernetes.kubeconfig: %s: %w", c.Kubeconfig, err)
	}
	return cfg, nil
}

// source is where that was read.
func (c Config) source() string {
	if c.Kubeconfig == "" {
		return "the pod's service account"
	}
	return c.Kubeconfig
}
