package kube

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// parseAddr reads an address of a field. An IPv4 address is one, however it is written.
func parseAddr(field, text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%s: %q is no IP address", field, text)
	}
	return addr.Unmap().WithZone(""), nil
}

// parsePrefix reads a prefix of a field, and clears the bits behind it as Cilium does.
func parsePrefix(field, text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s: %q is no CIDR", field, text)
	}
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

func parsePrefixes(field string, texts []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for i, text := range texts {
		prefix, err := parsePrefix(fmt.Sprintf("%s[%d]", field, i), text)
		if err != nil {
			return nil, err
		}
		prefixes = appendNew(prefixes, prefix)
	}
	return prefixes, nil
}

// words splits a list in a value of cilium-config. Cilium's own lists have spaces (viper), those of Helm's users commas.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) })
}

// appendNew appends what is not there yet. The lists are short.
func appendNew[T comparable](list []T, more ...T) []T {
	for _, one := range more {
		if !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	return list
}
