package probetest

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"time"
)

// manifest is a manifest of nothing.
const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
	`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`

var manifestDigest = func() string {
	sum := sha256.Sum256([]byte(manifest))
	return "sha256:" + hex.EncodeToString(sum[:])
}()

// prefixOf returns what the registry counts a client by.
func (r *Registry) prefixOf(client netip.Addr) netip.Prefix {
	bits := r.cfg.IPv6Bits
	if client.Is4() {
		bits = r.cfg.IPv4Bits
	}
	return netip.PrefixFrom(client, bits).Masked()
}

// take returns how many pulls of the last window a prefix has, and adds one if it is wanted and there is room.
func (r *Registry) take(from netip.Prefix, wanted bool) (used int, taken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Now()
	r.forgetLocked(now)
	if wanted && len(r.pulls[from]) < r.cfg.Limit {
		r.pulls[from] = append(r.pulls[from], now)
		taken = true
	}
	return len(r.pulls[from]), taken
}

// forgetLocked drops the pulls that have left the window.
func (r *Registry) forgetLocked(now time.Time) {
	for p, times := range r.pulls {
		left := slices.DeleteFunc(times, func(t time.Time) bool { return now.Sub(t) >= r.cfg.Window })
		if len(left) == 0 {
			delete(r.pulls, p)
			continue
		}
		r.pulls[p] = left
	}
}

// Used returns how many pulls of the last window each prefix has. Prefixes without one are not in it.
func (r *Registry) Used() map[netip.Prefix]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetLocked(r.cfg.Now())
	used := map[netip.Prefix]int{}
	for p, times := range r.pulls {
		used[p] = len(times)
	}
	return used
}

// Pull counts so many pulls of a client, as if it had made them before, up to the limit. It returns how many were taken.
func (r *Registry) Pull(client netip.Addr, pulls int) (taken int) {
	for range pulls {
		if _, ok := r.take(r.prefixOf(client), true); ok {
			taken++
		}
	}
	return taken
}
