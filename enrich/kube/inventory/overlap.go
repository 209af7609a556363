package inventory

// overlap finds that the prefix of a row has addresses of something else.
func (r *row) overlap(format string, args ...any) {
	r.find(Overlaps, "it has addresses in common %s", clause(format, args...))
}

// findOverlaps finds services and nodes whose addresses are in a prefix for pods, the first of each.
func (s *facts) findOverlaps(r *row) {
	for other := range s.serviceRanges.common(r.prefix) {
		r.overlap("with the range %s for services", other.prefix)
		break
	}
	for _, other := range s.nodeAddresses.within(r.prefix) {
		r.overlap("with the node %s, whose address is %s", other.owner, other.prefix.Addr())
		break
	}
}
