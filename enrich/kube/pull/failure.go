package pull

import (
	"slices"
	"strings"

	"sextant/collector/flow"
)

// failures are the words by which a failure is known, in lower case. The first that is found decides, so what is certain
// stands before what is ambiguous. Messages were taken from issues of the projects named.
var failures = []struct {
	words  string
	result flow.PullResult
}{
	{"dial unix", flow.PullFailed},        // the runtime did not answer the kubelet
	{"context canceled", flow.PullFailed}, // the pod was deleted, or the runtime stopped

	// Docker Hub's 429 (docs.docker.com/docker-hub/usage/pulls), ECR's and ghcr.io's, each with the code of the OCI
	// distribution specification; HTTP's own reason where a runtime shows no body.
	{"toomanyrequests", flow.PullRateLimited},
	{"too many requests", flow.PullRateLimited},
	{"pull rate limit", flow.PullRateLimited},
	{"status 429", flow.PullRateLimited},
	{"status code 429", flow.PullRateLimited},
	{"status: 429", flow.PullRateLimited},

	// Go's resolver, net and crypto/tls, which all three runtimes speak through, and the kubelet's word for it
	// (cri-api/pkg/errors, which CRI-O answers with). They stand before refusals: a token that could not be fetched is
	// "failed to authorize: … dial tcp".
	{"registryunavailable", flow.PullUnreachable},
	{"failed to do request", flow.PullUnreachable}, // containerd core/remotes/docker/resolver.go
	{"no such host", flow.PullUnreachable},
	{"server misbehaving", flow.PullUnreachable},
	{"dial tcp", flow.PullUnreachable},
	{"proxyconnect", flow.PullUnreachable},
	{"connection refused", flow.PullUnreachable},
	{"connection reset", flow.PullUnreachable},
	{"no route to host", flow.PullUnreachable},
	{"network is unreachable", flow.PullUnreachable},
	{"i/o timeout", flow.PullUnreachable},
	{"tls handshake timeout", flow.PullUnreachable},
	{"x509:", flow.PullUnreachable},
	{"tls:", flow.PullUnreachable},
	{"gave http response to https client", flow.PullUnreachable},
	{"client.timeout exceeded", flow.PullUnreachable},
	{"request canceled while waiting for connection", flow.PullUnreachable},
	{"get : context deadline exceeded", flow.PullUnreachable}, // where the URL was; alone it may be a slow disk
	{": eof", flow.PullUnreachable},
	{"unexpected eof", flow.PullUnreachable},

	// containerd "pull access denied, repository does not exist or may require authorization", Docker "… or may require
	// 'docker login'": registries do not say which, so it is a refusal.
	{"access denied", flow.PullDenied},
	{"denied: ", flow.PullDenied},
	{"permission denied", flow.PullFailed}, // the node's file system
	{"denied", flow.PullDenied},
	{"unauthorized", flow.PullDenied},
	{"not authorized", flow.PullDenied},
	{"unauthenticated", flow.PullDenied},
	{"forbidden", flow.PullDenied},
	{"authentication required", flow.PullDenied},
	{"authorization failed", flow.PullDenied},
	{"no basic auth credentials", flow.PullDenied},

	// containerd "not found", Docker and CRI-O "manifest unknown", Harbor and GitLab "name unknown". An image that is not
	// there for the node's platform is not there.
	{"executable file not found", flow.PullFailed}, // a credential helper
	{"manifest unknown", flow.PullNotFound},
	{"name unknown", flow.PullNotFound},
	{"not found", flow.PullNotFound},
	{"code = notfound", flow.PullNotFound},
	{"does not exist", flow.PullNotFound},
	{"no match for platform", flow.PullNotFound},
	{"no matching manifest", flow.PullNotFound},
	{"no image found", flow.PullNotFound},
}

// classify says why the pull of an image failed.
func classify(image, why string) flow.PullResult {
	text := strings.ToLower(without(image, why))
	for _, f := range failures {
		if strings.Contains(text, f.words) {
			return f.result
		}
	}
	return flow.PullFailed
}

// primary returns the part of a message that is about the registry of the reference itself. CRI-O says first what its
// mirrors answered (containers/image docker_image_src.go), and last, in newer versions, what came of taking the image for
// an artifact.
func primary(why string) string {
	if _, rest, found := strings.Cut(why, "pull image err: "); found {
		why, _, _ = strings.Cut(rest, "; artifact err: ")
	}
	if strings.Contains(why, "(Mirrors also failed: [") {
		if i := strings.LastIndex(why, "]): "); i >= 0 {
			why = why[i+len("]): "):]
		}
	}
	return why
}

// without returns a message without the image's own words, URLs and paths, and a colon where one followed them: whoever
// names an image or a host must not decide by it what an error says.
func without(image, why string) string {
	const around = `"'()[]{}<>,;:`
	own := strings.FieldsFunc(strings.ToLower(image), func(r rune) bool { return strings.ContainsRune("/:@", r) })
	names := func(bare string) bool {
		if strings.Contains(bare, "/") {
			return bare != "i/o"
		}
		parts := strings.FieldsFunc(bare, func(r rune) bool { return strings.ContainsRune(":@", r) })
		return len(parts) > 0 && !slices.ContainsFunc(parts, func(part string) bool { return !slices.Contains(own, part) })
	}
	words := strings.Fields(why)
	for i, word := range words {
		if names(strings.ToLower(strings.Trim(word, around))) {
			words[i] = word[len(strings.TrimRight(word, ":")):]
		}
	}
	return strings.Join(slices.DeleteFunc(words, func(word string) bool { return word == "" }), " ")
}
