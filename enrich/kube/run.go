package kube

import (
	"context"
	"time"

	"sextant/collector/verdict"
)

// How often what is made of a store is made anew: at most once in each pause, and so that it takes at most one part in
// share of the time.
const (
	pause = 250 * time.Millisecond
	share = 20
)

// Run calls back with what is made of the store, at once and after changes, until ctx ends. The cluster is nil while what
// was told of it makes no sense. That, and each doubt about it, is logged once.
func (s *Store) Run(ctx context.Context, update func(*Index, *verdict.Cluster)) error {
	said := map[string]bool{}
	for {
		begin := time.Now()
		snapshot := s.snapshot()
		index := snapshot.index(s.names)
		cluster, err := s.clusterOf(snapshot)
		if err != nil && first(said, err.Error()) {
			s.logger.Warn("the cluster's settings are unknown", "err", err)
		}
		for _, doubt := range snapshot.report.Doubts {
			if first(said, doubt) {
				s.logger.Warn("the cluster's facts are less certain", "doubt", doubt)
			}
		}
		update(index, cluster)
		select {
		case <-time.After(max(pause, (share-1)*time.Since(begin))):
		case <-ctx.Done():
			return nil
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// first reports whether a text was not said before, up to a number of them.
func first(said map[string]bool, text string) bool {
	if said[text] || len(said) >= maxNotes {
		return false
	}
	said[text] = true
	return true
}
