package live

import (
	"time"

	"sextant/enrich/kube"
)

// local keeps the pods of this node, and lets their owners be asked for.
type local struct {
	*part
	answers *answers
}

func (k local) replace(at time.Time, all []*item) error {
	there := make(map[key]struct{}, len(all))
	for _, i := range all {
		there[i.key()] = struct{}{}
		k.own(at, i)
	}
	for each := range k.known {
		if _, still := there[each]; !still {
			k.answers.unpin(each)
		}
	}
	return k.part.replace(at, all)
}

func (k local) put(at time.Time, i *item) error {
	k.own(at, i)
	return k.part.put(at, i)
}

func (k local) remove(at time.Time, i *item) {
	k.answers.unpin(i.key())
	k.part.remove(at, i)
}

func (k local) own(at time.Time, i *item) {
	if pod, ok := i.object.(*kube.Pod); ok {
		if q, ok := ownerOf(pod); ok {
			k.answers.pin(at, i.key(), q)
		}
	}
}

func (k local) forget(at time.Time) { _ = k.replace(at, nil) } // nothing is left out
