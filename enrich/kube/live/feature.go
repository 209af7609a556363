package live

import (
	"fmt"
	"time"

	"sextant/enrich/kube"
)

// Feature is what one watch makes possible, and whether it does.
type Feature struct {
	Name    string    // of the kind, and of the part of it that is watched: "Pod", "Event Failed"; its label in metrics
	Kind    kube.Kind // empty where no kind belongs to it
	Serves  string    // what is not known without it
	State   State
	Since   time.Time // since when it is in this state
	Err     error     // why it is not on, nil when it is; the latest word of the API server
	Remedy  string    // what to do about that, a rule for RBAC among it; empty when there is nothing to do
	Objects int       // that the watch tells of now; for events, which are not kept, that it told
}

// State is how a watch does.
type State uint8

// States of a watch.
const (
	StateUnknown   State = iota
	StateWaiting         // nothing was answered yet
	StateOn              // the store is up to date
	StateForbidden       // the API server does not permit it; off, and tried again now and then
	StateAbsent          // the API server has no such resource; off, and tried again now and then
	StateBroken          // it does not work for another reason, and is tried again and again; what was known stays known
	StateIdle            // not needed
)

var stateNames = [...]string{"unknown", "waiting", "on", "forbidden", "absent", "broken", "idle"}

// String returns the state's word.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// off reports whether the watch is off for a reason that lies in the cluster.
func (s State) off() bool { return s == StateForbidden || s == StateAbsent }
