package hubble_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"sextant/collector/hubble"
)

func TestConfig(t *testing.T) {
	for _, tt := range []struct{ yaml, want string }{ // want "": valid; else what the error says, "|" between parts
		{``, ""},
		{`server: "[2001:db8::1]:4245"`, ""},
		{`server: "[fe80::1%eth0]:4244"`, ""},
		{`server: tls://relay.example.com:443`, ""},
		{`server: hubble-relay.kube-system.svc.cluster.local.:80`, ""},
		{`server: unix:///var/run/cilium/hubble.sock`, ""},
		{`{peers: true, server: "unix:///var/run/cilium/hubble.sock", tls: true, tls_ca_cert_files: [ca.crt]}`, ""},
		{`{peers: "hubble-peer.kube-system.svc.cluster.local.:443", server: ""}`, ""},
		{`peers: false`, ""},
		{`since: 10m`, ""},
		{`field_mask: [source.namespace, destination, l7.dns, l4.TCP.flags]`, ""},
		{`denylist: ['{"source_pod":["kube-system/"]}']`, ""},

		{`server: relay`, "hubble.server: has no port|relay:4245"},
		{`server: ""`, "hubble.server: must be host:port"},
		{`server: ":4245"`, "hubble.server: has no host|localhost:4245"},
		{`server: "2001:db8::1"`, "hubble.server: an IPv6 address needs brackets|[2001:db8::1]:4245"},
		{`server: "fd00::1:4245:x"`, "hubble.server: an IPv6 address needs brackets"},
		{`server: "[192.0.2.1]:4245"`, "hubble.server: only an IPv6 address"},
		{`server: relay:http`, "hubble.server: must have a port"},
		{`server: relay:0`, "hubble.server: must have a port"},
		{`server: https://relay:443`, `hubble.server: scheme "https" is unknown|tls://`},
		{`server: unix://hubble.sock`, "hubble.server: must be unix:// and an absolute path"},
		{`peers: hubble-peer`, "hubble.peers: has no port"},
		{`tls_ca_cert_files: [ca.crt]`, "hubble.tls: must be true"},
		{`{server: unix:///x.sock, tls: true}`, "hubble.tls: a unix socket speaks no TLS"},
		{`{tls: true, tls_client_cert_file: tls.crt}`, "hubble.tls_client_cert_file: needs tls_client_key_file"},
		{`since: yesterday`, "hubble.since: must be an age like 10m"},
		{`since: -1h`, "hubble.since: must not be negative"},
		{`{since: 1h, last: 5}`, "hubble.last: cannot go with since"},
		{`allowlist: ['{"source_pods":["x"]}']`, `hubble.allowlist[0]: no FlowFilter|unknown field "source_pods"`},
		{`denylist: ['{"verdict":["DROPPED"]}', '{']`, `hubble.denylist[1]: no FlowFilter`},
		{`denylist: ['{}']`, "hubble.denylist[0]: an empty filter"},
		{`field_mask: [IP, source.name]`, `hubble.field_mask[1]: "source.name": Endpoint has no field "name"|namespace`},
		{`field_mask: [sauce]`, `hubble.field_mask[0]: "sauce": Flow has no field`},
		{`field_mask: [uuid.x]`, `hubble.field_mask[0]: "uuid.x": nothing can be picked`},
		{`hubble_traffic: maybe`, "hubble.hubble_traffic: must be exclude or include"},
		{`{max_nodes: 0, since: x}`, "hubble.max_nodes: must be from 1|hubble.since:"},
	} {
		c := hubble.Default()
		d := yaml.NewDecoder(strings.NewReader(tt.yaml))
		d.KnownFields(true)
		if err := d.Decode(&c); err != nil && tt.yaml != "" {
			t.Errorf("%s: %v", tt.yaml, err)
			continue
		}
		err := c.Validate()
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.yaml, err)
		case tt.want != "" && err == nil:
			t.Errorf("%s is accepted", tt.yaml)
		case tt.want != "":
			for part := range strings.SplitSeq(tt.want, "|") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s: %q does not say %q", tt.yaml, err, part)
				}
			}
		}
	}
}
