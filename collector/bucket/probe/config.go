package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Config says whether registries are asked, how often, and how they are reached.
type Config struct {
	Enabled  bool          `yaml:"enabled" doc:"ask registries what is left of their rate limit and by which address they count, with a HEAD request that is no pull, over IPv4 and over IPv6; they see this process's address, which is the node's on the host's network and the pod's own way out in a pod"`
	Every    time.Duration `yaml:"every" doc:"how often each registry is asked over each family, at least 1m; one that refuses or does not answer is asked less and less"`
	Timeout  time.Duration `yaml:"timeout" doc:"longest that one question may take, its token included"`
	CAFile   string        `yaml:"ca_file" doc:"PEM file of the authorities to trust instead of the system's, read at every question"`
	Proxy    string        `yaml:"proxy" doc:"HTTP proxy to ask through, http://host:port; the answer is then about the proxy's address. None: no proxy, whatever the environment says"`
	NodeName string        `yaml:"node_name" doc:"name of the node that this process runs on, in a pod from its field spec.nodeName; none: what NODE_NAME says"`

	// Targets are whom to ask, as the catalogue of rate limits names them.
	Targets []Target

	// Loopback lets targets and token services on this machine's loopback addresses speak plain HTTP. It is for tests.
	Loopback bool

	// Dial connects instead of a net.Dialer. The network is tcp4 or tcp6.
	Dial Dialer
}

// A Target is a registry that can be asked.
type Target struct {
	Service  string `yaml:"service" doc:"name of the service in the catalogue"`
	Manifest string `yaml:"manifest" doc:"URL of a manifest that everybody may pull, https://host/v2/name/manifests/tag"`
	Token    string `yaml:"token" doc:"URL of the token service that the registry may send us to, https://host/path; none: only to its own host"`
}

const (
	leastEvery  = time.Minute
	mostEvery   = 24 * time.Hour
	mostTargets = 16
)

// Default returns the configuration of a probe that asks nobody.
func Default() Config { return Config{Every: 10 * time.Minute, Timeout: 20 * time.Second} }

// Validate returns all that is wrong, each with the key's path. It reads no files.
func (c Config) Validate() error {
	var errs []error
	bad := func(key string, err error) { errs = append(errs, fmt.Errorf("rate_limits.probe.%s: %w", key, err)) }
	if c.Every < leastEvery || c.Every > mostEvery {
		bad("every", fmt.Errorf("must be from %s to %s, is %s", leastEvery, mostEvery, c.Every))
	}
	if c.Timeout < time.Second || c.Timeout > leastEvery {
		bad("timeout", fmt.Errorf("must be from 1s to %s, is %s", leastEvery, c.Timeout))
	}
	if c.Proxy != "" {
		if err := checkProxy(c.Proxy); err != nil {
			bad("proxy", err)
		}
	}
	if len(c.Targets) > mostTargets {
		bad("targets", fmt.Errorf("must be at most %d, are %d", mostTargets, len(c.Targets)))
	}
	seen := map[string]bool{}
	for i, t := range c.Targets {
		if t.Service == "" || seen[t.Service] {
			bad(fmt.Sprintf("targets[%d].service", i), fmt.Errorf("must be a name of its own, is %q", t.Service))
		}
		seen[t.Service] = true
		if u, err := parseURL(t.Manifest, c.Loopback); err != nil {
			bad(fmt.Sprintf("targets[%d].manifest", i), err)
		} else if _, err := repository(u); err != nil {
			bad(fmt.Sprintf("targets[%d].manifest", i), err)
		}
		if t.Token != "" {
			if _, err := parseURL(t.Token, c.Loopback); err != nil {
				bad(fmt.Sprintf("targets[%d].token", i), err)
			}
		}
	}
	return errors.Join(errs...)
}

func checkProxy(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return errors.New("must be http://host:port")
	case u.User != nil:
		return errors.New("must be without a user and password, which settings do not keep")
	default:
		return nil
	}
}

// parseURL parses the URL of a registry or token service, which is https but for loopback addresses.
func parseURL(text string, loopback bool) (*url.URL, error) {
	if len(text) > 2048 {
		return nil, errors.New("must be a URL of at most 2048 characters")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("must be a URL https://host/path, is %s", quote(text))
	case u.User != nil:
		return nil, errors.New("must be a URL without a user and password")
	case u.Scheme == "https" || u.Scheme == "http" && loopback && isLoopback(u.Hostname()):
		return u, nil
	default:
		return nil, fmt.Errorf("must be https, is %s", quote(text))
	}
}

// isLoopback takes addresses only: where a name leads is others' to say.
func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// repository returns the name of the repository whose manifest a URL is (distribution specification, "end-3").
func repository(manifest *url.URL) (string, error) {
	rest, v2 := strings.CutPrefix(manifest.Path, "/v2/")
	name, tag, found := strings.Cut(rest, "/manifests/")
	if !v2 || !found || name == "" || tag == "" || manifest.RawQuery != "" || manifest.Fragment != "" {
		return "", fmt.Errorf("must end in /v2/name/manifests/tag, is %s", quote(manifest.String()))
	}
	return name, nil
}

// quote makes a short and harmless text of what others wrote.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		return fmt.Sprintf("%q…", text[:most])
	}
	return fmt.Sprintf("%q", text)
}
