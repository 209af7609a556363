package verdict

import (
	"bytes"
	"embed"
	"encoding/csv"
	"fmt"
	"net/netip"

	"github.com/gaissmai/bart"

	"sextant/collector/flow"
)

//go:embed iana/*.csv
var iana embed.FS

// Kinds says what an address is by the IANA registries alone. It is read-only once made, and safe for concurrent use.
type Kinds struct{ table bart.Fast[flow.AddressKind] }

// NewKinds returns the table of the registries in iana/. It panics when these files are broken, as no caller could
// mend what was built in.
func NewKinds() *Kinds {
	k := &Kinds{}
	for _, file := range []string{"iana/address-space.csv", "iana/ipv4-special.csv", "iana/ipv6-special.csv"} {
		if err := k.load(file); err != nil {
			panic(fmt.Sprintf("verdict: read %s: %v", file, err))
		}
	}
	return k
}

func (k *Kinds) load(file string) error {
	text, err := iana.ReadFile(file)
	if err != nil {
		return err
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil {
		return err
	}
	for _, row := range rows[1:] {
		prefix, err := netip.ParsePrefix(row[0])
		if err != nil {
			return err
		}
		kind, ok := parseKind(row[3])
		if !ok {
			return fmt.Errorf("%s: there is no address kind %q", prefix, row[3])
		}
		k.table.Insert(prefix, kind)
	}
	return nil
}

func parseKind(word string) (flow.AddressKind, bool) {
	for kind := flow.KindGUA; kind <= flow.KindReserved; kind++ {
		if kind.String() == word {
			return kind, true
		}
	}
	return flow.KindUnknown, false
}

// Of returns the kind of a: that of the longest prefix around it, or isatap where the interface identifier says so.
// Only the invalid address is unknown.
//
// It expects addresses as collector/hubble makes them, unmapped and without a zone. It ignores a zone, and takes a
// mapped address for reserved rather than for the IPv4 address inside.
func (k *Kinds) Of(a netip.Addr) flow.AddressKind {
	kind, _ := k.table.Lookup(a)
	switch kind {
	case flow.KindGUA, flow.KindULA, flow.KindLinkLocal, flow.KindSiteLocal, flow.KindDocumentation:
		if a.Is6() && isISATAP(a) {
			return flow.KindISATAP
		}
	}
	return kind
}
