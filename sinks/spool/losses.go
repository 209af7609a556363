package spool

import (
	"time"

	"sextant/collector"
	"sextant/collector/flow"
)

// losses are rows that will never be delivered.
type losses struct{ *collector.Ledger }

var details = map[flow.GapCause]string{
	flow.GapSpoolFull:    "the sink was away for longer than its spool had room: see spool.max_bytes",
	flow.GapSpoolDamaged: "the disk gave back from the spool what cannot be read",
	flow.GapRejected:     "the sink refused these rows for good; the log says why",
}

func newLosses(names *flow.Interner) losses { return losses{collector.NewLedger(names, details)} }

// hole notes rows of which little is known.
func (l losses) hole(cause flow.GapCause, h hole) {
	l.Gap(flow.Gap{
		From: time.Unix(0, h.from).UTC(), To: time.Unix(0, h.to).UTC(), Cause: cause,
		Count: flow.Count{N: uint64(h.rows), Known: h.rows > 0}, Detail: l.Detail(cause),
	})
}
