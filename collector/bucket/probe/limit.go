package probe

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The header fields of Docker Hub, documented under "View pull rate and limit" of its manual. The first two are written as
// in draft-ietf-httpapi-ratelimit-headers-03 and its forerunners: 100;w=21600.
const (
	limitField     = "Ratelimit-Limit"
	remainingField = "Ratelimit-Remaining"
	sourceField    = "Docker-Ratelimit-Source"
)

// Bounds of what is believed. Docker's own limits are 100 to 5000 in hours or a day.
const (
	mostLimit  = 1_000_000_000
	mostWindow = 31 * 24 * time.Hour
)

// rate is what a registry says of a limit.
type rate struct {
	limit, remaining uint32
	window           time.Duration
}

var errSilent = errors.New("it says nothing of a limit")

// parseRate reads the limit and what remains of it. It returns errSilent when there is neither.
func parseRate(h http.Header) (rate, error) {
	if len(h[limitField]) == 0 && len(h[remainingField]) == 0 {
		return rate{}, errSilent
	}
	limit, window, err := quantity(h, limitField)
	if err != nil {
		return rate{}, err
	}
	remaining, window2, err := quantity(h, remainingField)
	if err != nil {
		return rate{}, err
	}
	if window == 0 {
		window = window2
	}
	switch {
	case limit == 0:
		return rate{}, errors.New("a limit of 0 allows nothing")
	case remaining > limit:
		return rate{}, fmt.Errorf("%d remaining of %d", remaining, limit)
	case window == 0:
		return rate{}, errors.New("no window is given")
	case window2 != 0 && window2 != window:
		return rate{}, fmt.Errorf("two windows, %s and %s", window, window2)
	}
	return rate{limit, remaining, window}, nil
}

// quantity reads a number and its window, which is 0 when it is not given.
func quantity(h http.Header, field string) (uint32, time.Duration, error) {
	text, err := only(h, field)
	if err != nil {
		return 0, 0, err
	}
	parts := strings.Split(text, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(parts[0]), 10, 32)
	if err != nil || n > mostLimit {
		return 0, 0, fmt.Errorf("%s %s is no number up to %d", strings.ToLower(field), quote(text), mostLimit)
	}
	var window time.Duration
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if name != "w" {
			continue
		}
		seconds, err := strconv.ParseUint(value, 10, 32)
		if err != nil || seconds == 0 || seconds > uint64(mostWindow/time.Second) || window != 0 {
			return 0, 0, fmt.Errorf("%s %s has no window from 1 second to %s", strings.ToLower(field), quote(text), mostWindow)
		}
		window = time.Duration(seconds) * time.Second
	}
	return uint32(n), window, nil
}

// only returns the value of a field that must stand once.
func only(h http.Header, field string) (string, error) {
	values := h[field]
	switch {
	case len(values) != 1:
		return "", fmt.Errorf("%s stands %d times", strings.ToLower(field), len(values))
	case len(values[0]) > 128:
		return "", fmt.Errorf("%s has %d characters", strings.ToLower(field), len(values[0]))
	default:
		return strings.TrimSpace(values[0]), nil
	}
}

var errAccount = errors.New("it counts by an account")

// parseSource reads by whom the registry counts: an address, which may be the first one of a prefix, or a prefix in CIDR
// notation. The length is 0 when it is not told, and the address zero when there is no field. It returns errAccount for what
// is no address: Docker gives the UUID of whoever is logged in. No address is IPv4-mapped or has a zone.
func parseSource(h http.Header) (netip.Addr, int, error) {
	if len(h[sourceField]) == 0 {
		return netip.Addr{}, 0, nil
	}
	text, err := only(h, sourceField)
	if err != nil {
		return netip.Addr{}, 0, err
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return a.Unmap(), 0, nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		if a := p.Addr(); a.Is4In6() {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96) // not valid when the prefix holds more than IPv4
		}
		if least := map[bool]int{true: 8, false: 20}[p.Addr().Is4()]; p.Bits() >= least { // the largest that registries hand out
			return p.Masked().Addr(), p.Bits(), nil
		}
		return netip.Addr{}, 0, fmt.Errorf("%s %s is more than one network", strings.ToLower(sourceField), quote(text))
	}
	if isWord(text) {
		return netip.Addr{}, 0, errAccount
	}
	return netip.Addr{}, 0, fmt.Errorf("%s %s is neither an address nor an account", strings.ToLower(sourceField), quote(text))
}

// isWord says whether a text could be the name or number of an account, and is not meant to be an address.
func isWord(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	return strings.Trim(text, letters+"0123456789.") == "" && strings.ContainsAny(text, letters)
}
