package verdict_test

import (
	"net/netip"
	"testing"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

func TestTunnelIPv4(t *testing.T) {
	kinds := verdict.NewKinds()
	for _, row := range []struct {
		addr string
		kind flow.AddressKind
		want string // empty where nothing is embedded
	}{
		{"2002:c000:221:1::1", flow.Kind6to4, "192.0.2.33"},
		// Server 65.54.227.120, client 192.0.2.45, port 40000 (63bf inverted).
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", flow.KindTeredo, "192.0.2.45"},
		{"fe80::200:5efe:192.0.2.33", flow.KindISATAP, "192.0.2.33"},
		{"2a00:1:2:3:0:5efe:10.0.0.1", flow.KindISATAP, "10.0.0.1"},
		{"64:ff9b::192.0.2.33", flow.KindNAT64, ""},
		{"2a00::1", flow.KindGUA, ""},
		{"10.0.0.1", flow.KindPrivate, ""},
	} {
		a := netip.MustParseAddr(row.addr)
		kind := kinds.Of(a)
		want, _ := netip.ParseAddr(row.want)
		if got := verdict.TunnelIPv4(kind, a); kind != row.kind || got != want {
			t.Errorf("%s is %s and holds %s, want %s and %q", a, kind, got, row.kind, row.want)
		}
	}
}
