package pull_test

import (
	"testing"

	"sextant/collector/flow"
)

const noImage = "nginx"

// Failures as containerd, CRI-O and Docker word them, from issues of the projects.
var refusals = []struct {
	want       flow.PullResult
	image, why string
}{
	// containerd
	{flow.PullRateLimited, "busybox", `rpc error: code = Unknown desc = failed to pull and unpack image "docker.io/library/busybox:latest": failed to copy: httpReadSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/library/busybox/manifests/sha256:50aa4698fa6262977cff89181b2664b99d8a56dbca847bf62f2ef04854597cf8: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit`},
	{flow.PullRateLimited, "ghcr.io/a/b", `rpc error: code = Unknown desc = failed to pull and unpack image "ghcr.io/a/b:latest": failed to resolve reference "ghcr.io/a/b:latest": unexpected status from HEAD request to https://ghcr.io/v2/a/b/manifests/latest: 429 Too Many Requests`},
	{flow.PullNotFound, "non-existent-image", `rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/library/non-existent-image:latest": failed to resolve reference "docker.io/library/non-existent-image:latest": docker.io/library/non-existent-image:latest: not found`},
	{flow.PullNotFound, "x.example/arm", `rpc error: code = NotFound desc = failed to pull and unpack image "x.example/arm:1": no match for platform in manifest: not found`},
	{flow.PullDenied, "secret/app", `rpc error: code = Unknown desc = failed to pull and unpack image "docker.io/secret/app:latest": failed to resolve reference "docker.io/secret/app:latest": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`},
	{flow.PullDenied, "ghcr.io/nloui/paperless-mcp:latest", `failed to pull and unpack image "ghcr.io/nloui/paperless-mcp:latest": failed to resolve reference "ghcr.io/nloui/paperless-mcp:latest": failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://ghcr.io/token?scope=repository%3Anloui%2Fpaperless-mcp%3Apull&service=ghcr.io: 403 Forbidden`},
	{flow.PullDenied, "ghcr.io/banzaicloud/vault-env:1.15.0", `rpc error: code = Unknown desc = failed to pull and unpack image "ghcr.io/banzaicloud/vault-env:1.15.0": failed to copy: httpReaderSeeker: failed open: unexpected status code https://ghcr.io/v2/banzaicloud/vault-env/blobs/sha256:766c52bc20840538b2aa166e6f4ab30906ccb620ef58d7f49394eec61fbfe144: 401 Unauthorized - Server message: unauthorized: unauthenticated: User cannot be authenticated with the token provided.`},
	{flow.PullUnreachable, "inclavarecontainers/occlum-hello-world:scratch", `rpc error: code = Unknown desc = failed to pull and unpack image "docker.io/inclavarecontainers/occlum-hello-world:scratch": failed to resolve reference "docker.io/inclavarecontainers/occlum-hello-world:scratch": failed to do request: Head "https://registry-1.docker.io/v2/inclavarecontainers/occlum-hello-world/manifests/scratch": net/http: TLS handshake timeout`},
	{flow.PullUnreachable, "docker.io/rancher/pause:3.1", `failed to pull and unpack image "docker.io/rancher/pause:3.1": failed to resolve reference "docker.io/rancher/pause:3.1": failed to do request: Head https://registry-1.docker.io/v2/rancher/pause/manifests/3.1: dial tcp: lookup registry-1.docker.io: Try again`},
	{flow.PullUnreachable, noImage, `rpc error: code = Unknown desc = failed to pull and unpack image "docker.io/library/nginx:latest": failed to resolve reference "docker.io/library/nginx:latest": failed to authorize: failed to fetch anonymous token: Get "https://auth.docker.io/token?scope=repository%3Alibrary%2Fnginx%3Apull&service=registry.docker.io": dial tcp [2600:1f18:2148:bc00::1]:443: connect: network is unreachable`},
	{flow.PullUnreachable, noImage, `rpc error: code = Unknown desc = failed to pull and unpack image "docker.io/library/nginx:latest": failed to copy: read tcp 10.0.0.1:40000->1.2.3.4:443: read: connection reset by peer`},
	{flow.PullUnreachable, noImage, `failed to copy: httpReadSeeker: failed open: failed to do request: Get "https://production.cloudflare.docker.com/registry-v2/docker/registry/v2/blobs/sha256/ab/data": EOF`},
	{flow.PullUnreachable, noImage, `error pulling image: Get "https://x.example/v2/": EOF`},
	{flow.PullFailed, "private_registery.mydomain/idrac_to_kafka:20250428T1620", `rpc error: code = Canceled desc = failed to pull and unpack image "private_registery.mydomain/idrac_to_kafka:20250428T1620": failed to copy: httpReadSeeker: failed open: failed to do request: Get "https://private_registery.mydomain/v2/csg/idrac_to_kafka/blobs/sha256:d0157ca575c725b6dbdc6c7b843b8614963fda6ca619af9932bfbbb39c450c5a": context canceled`},
	{flow.PullFailed, "ghcr.io/saveourtool/save-base:python-3.10", `rpc error: code = FailedPrecondition desc = failed to pull and unpack image "ghcr.io/saveourtool/save-base:python-3.10": failed commit on ref "layer-sha256:a6daac42f0daee2fe11dd237f570a94067fd69ec126838af3bc82a4d57f11f8c": "layer-sha256:a6daac42f0daee2fe11dd237f570a94067fd69ec126838af3bc82a4d57f11f8c" failed size validation: 6239744 != 17386982: failed precondition`},
	{flow.PullFailed, noImage, `rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial unix /run/containerd/containerd.sock: connect: connection refused"`},
	{flow.PullFailed, noImage, `rpc error: code = Unknown desc = failed to pull and unpack image "docker.io/library/nginx:latest": failed to extract layer sha256:ab: write /var/lib/containerd/x: no space left on device: unknown`},
	{flow.PullFailed, noImage, `rpc error: code = Unknown desc = failed to pull and unpack image "docker.io/library/nginx:latest": mkdir /var/lib/containerd/x: permission denied`},
	{flow.PullFailed, noImage, `failed to resolve reference "x.example/a:1": unexpected status from HEAD request to https://x.example/v2/a/manifests/1: 503 Service Unavailable`},
	{flow.PullFailed, noImage, `rpc error: code = 4 desc = context deadline exceeded`},

	// CRI-O
	{flow.PullRateLimited, "obsidiandynamics/kafdrop:latest", `rpc error: code = Unknown desc = Error reading manifest latest in docker.io/obsidiandynamics/kafdrop: toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit`},
	{flow.PullNotFound, "registry.mydomain/image", `rpc error: code = Unknown desc = Error reading manifest latest in registry.mydomain/image: manifest unknown: manifest unknown`},
	{flow.PullDenied, "docker.io/crio/nginx", "rpc error: code = Unknown desc = Error reading manifest latest in docker.io/crio/busybox: errors:\ndenied: requested access to the resource is denied\nunauthorized: authentication required"},
	{flow.PullDenied, "quay.io/open-cluster-management/x", `rpc error: code = Unknown desc = Error reading manifest 1.0.0 in quay.io/open-cluster-management/x: unauthorized: access to the requested resource is not authorized`},
	{flow.PullUnreachable, "localhost:7439/gitlab.example.com-4567/library/test-api:latest", `RegistryUnavailable: pinging container registry localhost:7439: Get "http://localhost:7439/v2/": dial tcp [::1]:7439: connect: connection refused`},
	{flow.PullUnreachable, "quay.io/a/b", `rpc error: code = Unknown desc = error pinging docker registry quay.io: Get https://quay.io/v2/: x509: certificate has expired or is not yet valid`},
	{flow.PullUnreachable, noImage, `rpc error: code = Unknown desc = pinging docker registry returned: Get http://registry-1.docker.io/v2/: dial tcp 34.199.40.84:80: i/o timeout`},
	{flow.PullFailed, "quay.io/openshift-release-dev/x@sha256:f0352bd30248c274db742261f1e6926fe47dfe792c20c202f608ca47cc362185", `SignatureValidationFailed: unable to pull image or OCI artifact: pull image err: Source image rejected: A signature was required, but no signature exists; artifact err: image reference: reference is a container image, not an OCI artifact, not found`},
	{flow.PullFailed, "quay.io/ibmmas/cli:13.13.0", `(Mirrors also failed: [ml-registry1.fyre.ibm.com:5000/ibmmas/cli:13.13.0: reading manifest 13.13.0 in ml-registry1.fyre.ibm.com:5000/ibmmas/cli: manifest unknown]): quay.io/ibmmas/cli:13.13.0: registry quay.io/ibmmas is blocked in /etc/containers/registries.conf`},
	{flow.PullRateLimited, "docker.io/a/b:1", `rpc error: code = Unknown desc = (Mirrors also failed: [m.example/a/b:1: pinging container registry m.example: Get "https://m.example/v2/": dial tcp: lookup m.example: no such host]` + "\n" + `[n.example/a/b:1: reading manifest 1 in n.example/a/b: unauthorized: no]): docker.io/a/b:1: reading manifest 1 in docker.io/a/b: toomanyrequests: You have reached your unauthenticated pull rate limit.`},

	// Docker
	{flow.PullUnreachable, "hjacobs/kube-ops-view:0.8.1", `rpc error: code = Unknown desc = Error response from daemon: Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: server misbehaving`},
	{flow.PullUnreachable, noImage, `Error response from daemon: Get "https://registry-1.docker.io/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)`},
	{flow.PullUnreachable, noImage, `Error response from daemon: Get "https://registry-1.docker.io/v2/": context deadline exceeded`},
	{flow.PullUnreachable, noImage, `Error response from daemon: Get "https://x.example:5000/v2/": http: server gave HTTP response to HTTPS client`},
	{flow.PullDenied, "rmeuser-auth:latest", `rpc error: code = Unknown desc = Error response from daemon: pull access denied for rmeuser-auth, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`},
	{flow.PullDenied, "1.dkr.ecr.example/a", `rpc error: code = Unknown desc = Error response from daemon: Get https://1.dkr.ecr.example/v2/a/manifests/latest: no basic auth credentials`},
	{flow.PullDenied, "ghcr.io/mccutchen/go-httpbin:2.18.3", `Error response from daemon: Head "https://ghcr.io/v2/mccutchen/go-httpbin/manifests/2.18.3": denied: denied`},
	{flow.PullDenied, "gcr.io/p/i", `Error response from daemon: denied: Permission denied for "v1" from request "/v2/p/i/manifests/v1".`},
	{flow.PullNotFound, "myapp:v2.3.1", `rpc error: code = Unknown desc = Error response from daemon: manifest for myapp:v2.3.1 not found: manifest unknown`},
	{flow.PullRateLimited, noImage, `Error response from daemon: toomanyrequests: You have reached your pull rate limit.`},
	{flow.PullRateLimited, noImage, `Error: Status 429 trying to pull repository google_containers/kube-ui: "<!DOCTYPE html>"`},

	// What an image or a host is called is not what happened.
	{flow.PullNotFound, "evil/toomanyrequests:denied", `rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/evil/toomanyrequests:denied": failed to resolve reference "docker.io/evil/toomanyrequests:denied": docker.io/evil/toomanyrequests:denied: not found`},
	{flow.PullNotFound, "toomanyrequests:latest", `rpc error: code = Unknown desc = Error response from daemon: manifest for toomanyrequests:latest not found: manifest unknown`},
	{flow.PullUnreachable, "toomanyrequests.example/a", `failed to do request: Head "https://toomanyrequests.example/v2/a/manifests/latest": dial tcp: lookup toomanyrequests.example on 10.0.0.10:53: no such host`},
	{flow.PullNotFound, "a/b", `rpc error: code = NotFound desc = docker.io/a/b@sha256:4290000000000000000000000000000000000000000000000000000000000429: not found`},
	{flow.PullFailed, noImage, ``},
}

func TestFailures(t *testing.T) {
	for _, row := range refusals {
		r := newRig()
		r.Add(noon, event("Failed", `Failed to pull image "`+row.image+`": `+row.why))
		pulls := r.flush(true)
		if len(pulls) != 1 || pulls[0].Result != row.want {
			t.Errorf("want %s, got %v: %s", row.want, pulls[0].Result, row.why)
		}
	}
}
