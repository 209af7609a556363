package pull

import (
	_ "crypto/sha512" // a digest of an algorithm that is not linked in is no digest to the parser
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/distribution/reference"
)

// Reference is an image's reference, in full: "nginx" is docker.io, library/nginx, latest.
type Reference struct {
	// Registry is the host, and the port where the reference names one, in lower case: "docker.io", "[2001:db8::1]:5000".
	Registry   string
	Repository string // "library/nginx"
	Tag        string // empty where there is a digest alone
	Digest     string // "sha256:…"
}

// hub is the name of Docker Hub, and hubHost that of the host behind it.
const (
	hub     = "docker.io"
	hubHost = "registry-1.docker.io"
)

// longestReference is more than a registry, a repository (255), a tag (128) and a digest can have.
const longestReference = 1024

var (
	errLong = errors.New("longer than a reference can be")
	errID   = errors.New("an image's ID, which names no registry")
)

// ParseReference reads a reference as Docker, containerd and the kubelet do (github.com/distribution/reference): what names
// no registry is on docker.io, and there in library/ where it names no owner; what has neither tag nor digest is latest.
//
// Names of one and the same registry become one name: index.docker.io (Docker's own rule) and registry-1.docker.io (the
// host that serves docker.io, docker/hub-tool#107) are docker.io; domains are in lower case, and IPv6 addresses are written
// as RFC 5952 has it. A port that is written stays, 443 too. Other hosts that Docker Hub answers under, such as
// registry.hub.docker.com, stay what they are: nothing says that they are counted together.
//
// The registry is the reference's. "mirror.example/docker.io/library/nginx" is mirror.example's, and a mirror that the
// node's runtime is set up with, which is not part of the reference, is not seen at all.
//
// CRI-O can be told to search other registries for names without one (unqualified-search-registries); they are taken to be
// on docker.io all the same.
func ParseReference(text string) (Reference, error) {
	switch {
	case len(text) > longestReference:
		return Reference{}, errLong
	case strings.HasPrefix(text, "sha256:"): // reads like a repository "sha256" otherwise
		return Reference{}, errID
	}
	// The host alone may be in upper case. Unless it is in lower case, docker.io is not recognized.
	if host, path, found := strings.Cut(text, "/"); found && (strings.ContainsAny(host, ".:") || strings.EqualFold(host, "localhost")) {
		if host = strings.ToLower(host); host == hubHost {
			host = hub
		}
		text = host + "/" + path
	}
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return Reference{}, err
	}
	named = reference.TagNameOnly(named)
	r := Reference{Repository: reference.Path(named)}
	if r.Registry, err = canonical(reference.Domain(named)); err != nil {
		return Reference{}, err
	}
	if tagged, ok := named.(reference.Tagged); ok {
		r.Tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		r.Digest = digested.Digest().String()
	}
	return r, nil
}

// canonical writes an address as RFC 5952 has it.
func canonical(domain string) (string, error) {
	inside, found := strings.CutPrefix(domain, "[")
	if !found {
		return domain, nil
	}
	// The parser takes all that looks like an address, "[:::]" among it.
	inside, port, _ := strings.Cut(inside, "]")
	ip, err := netip.ParseAddr(inside)
	if err != nil {
		return "", fmt.Errorf("registry %s: %w", domain, err)
	}
	return "[" + ip.String() + "]" + port, nil
}
