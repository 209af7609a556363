package flow

import "time"

// Mark is how far the flows of a node were followed by a process that has ended, in the order in which the node's agent
// tells them.
type Mark struct {
	Node    Name
	Cluster Name
	Known   Point // up to here nothing that came is missing, and what the stages still held back of it is stored as well
	Sent    Point // up to here flows are stored; not before Known
}

// Point is the place of a flow among those of its node.
type Point struct {
	Time time.Time
	UUID UUID // zero where an old agent sent none
}

// PointOf returns the place of a flow.
func PointOf(r *Record) Point { return Point{r.Time, r.UUID} }
