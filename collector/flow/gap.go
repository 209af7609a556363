package flow

import "time"

// Gap is a stretch of time in which flows of a node were not seen, or were seen and then lost by Sextant. Beside every
// number stands the question whether a gap lies under it.
type Gap struct {
	Node    Name // empty when the cause is not tied to one node
	Cluster Name
	From    time.Time
	To      time.Time
	Cause   GapCause
	Count   Count // flows or events lost; unknown where nobody counted
	Detail  Name  // a sentence for a person
}
