package pull_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/enrich/kube"
	"sextant/enrich/kube/pull"
)

// kubelet pulls images at random, and tells of it through a recorder to an API server that forgets events after an hour.
type kubelet struct {
	random   *rand.Rand
	recorder *recorder
	stored   map[string]*kube.Event // by name, as the API server has them
	states   []state                // every state that a watch sees
	uid      int
	attempts int
}

// state is an event at a time.
type state struct {
	at    time.Time
	event kube.Event
}

func newKubelet(seed uint64) *kubelet {
	return &kubelet{random: rand.New(rand.NewPCG(seed, 0)), recorder: newRecorder(), stored: map[string]*kube.Event{}}
}

// record does what client-go's tools/record does with an event (event.go: makeEvent, recordToSink, recordEvent).
func (k *kubelet) record(pod int, container, kind, reason, message string) {
	time.Sleep(time.Millisecond)
	now := time.Now()
	e := kube.Event{Reason: reason, Message: message, Type: kind, Count: 1, FirstTimestamp: now, LastTimestamp: now}
	e.Metadata.Name, e.Metadata.Namespace = fmt.Sprintf("web-%d.%x", pod, now.UnixNano()), "shop"
	e.InvolvedObject.Kind, e.InvolvedObject.Namespace, e.InvolvedObject.Name = "Pod", "shop", fmt.Sprintf("web-%d", pod)
	e.InvolvedObject.UID, e.InvolvedObject.FieldPath = fmt.Sprintf("p-%d", pod), "spec.containers{"+container+"}"
	e.Source.Component, e.Source.Host = "kubelet", "node-1"
	if !k.recorder.correlate(&e) {
		return
	}
	maps.DeleteFunc(k.stored, func(_ string, e *kube.Event) bool { return now.Sub(e.LastTimestamp) > time.Hour })
	if was := k.stored[e.Metadata.Name]; was != nil {
		e.Metadata.UID = was.Metadata.UID
	} else {
		k.uid++
		e.Metadata.UID = fmt.Sprintf("e-%d", k.uid)
	}
	e.FirstTimestamp, e.LastTimestamp = e.FirstTimestamp.Truncate(time.Second), e.LastTimestamp.Truncate(time.Second) // as the API has them
	k.stored[e.Metadata.Name] = &e
	k.states = append(k.states, state{now, e})
}

// recorder does what client-go's recorder does with its defaults (tools/record/events_cache.go, EventCorrelator), for the
// events of one node about pods.
type recorder struct {
	similar map[string]*similar
	counted map[string]*counter
	tokens  map[string]*tokens
}

type (
	similar struct {
		messages map[string]bool
		last     time.Time
	}
	counter struct {
		name  string
		first time.Time
		count uint32
	}
	tokens struct {
		left float64
		last time.Time
	}
)

func newRecorder() *recorder {
	return &recorder{map[string]*similar{}, map[string]*counter{}, map[string]*tokens{}}
}

// correlate turns an event into the state that is stored, and reports false where it is dropped.
func (r *recorder) correlate(e *kube.Event) bool {
	now := e.LastTimestamp
	spam := e.InvolvedObject.UID + " " + e.Type
	alike := spam + " " + e.Reason
	key := alike + " " + e.InvolvedObject.FieldPath + " " + e.Message

	// EventAggregator: ten messages within ten minutes are told as one event.
	s := r.similar[alike]
	if s == nil || now.Sub(s.last) > 10*time.Minute {
		s = &similar{messages: map[string]bool{}}
		r.similar[alike] = s
	}
	s.messages[e.Message], s.last = true, now
	if len(s.messages) >= 10 {
		for message := range s.messages {
			delete(s.messages, message)
			break
		}
		key, e.Message = alike, combined+e.Message
	}

	// eventLogger: the same again is counted.
	c := r.counted[key]
	if c == nil {
		c = &counter{name: e.Metadata.Name, first: now}
		r.counted[key] = c
	}
	c.count++
	e.Metadata.Name, e.FirstTimestamp, e.Count = c.name, c.first, c.count

	// EventSourceObjectSpamFilter: of a pod 25 events are told, and then one in five minutes.
	t := r.tokens[spam]
	if t == nil {
		t = &tokens{25, now}
		r.tokens[spam] = t
	}
	t.left, t.last = min(25, t.left+now.Sub(t.last).Seconds()/300), now
	if t.left < 1 {
		return false
	}
	t.left--
	return true
}

// pull pulls an image, and says what a kubelet says.
func (k *kubelet) pull(pod int, container, image string) {
	quoted := fmt.Sprintf("%q", image)
	k.record(pod, container, "Normal", "Pulling", "Pulling image "+quoted)
	took := time.Duration(k.random.IntN(20_000)) * time.Millisecond
	time.Sleep(took)
	k.attempts++
	switch k.random.IntN(3) {
	case 0:
		k.record(pod, container, "Normal", "Pulled", fmt.Sprintf("Successfully pulled image %s in %v (%v including waiting). Image size: 5 bytes.", quoted, took, took))
		k.record(pod, container, "Normal", "Created", "Container created")
		k.record(pod, container, "Normal", "Started", "Container started")
		k.record(pod, container, "Warning", "BackOff", "Back-off restarting failed container "+container)
		return
	case 1:
		k.record(pod, container, "Warning", "Failed", "Failed to pull image "+quoted+": toomanyrequests")
	default:
		k.record(pod, container, "Warning", "Failed", fmt.Sprintf("Failed to pull image %s: read tcp 10.0.0.1:%d->192.0.2.1:443: connection reset by peer", quoted, k.random.IntN(60000)))
	}
	k.record(pod, container, "Warning", "Failed", "Error: ErrImagePull")
	k.record(pod, container, "Normal", "BackOff", "Back-off pulling image "+quoted)
	k.record(pod, container, "Warning", "Failed", "Error: ImagePullBackOff")
}

// work pulls for some pods for some hours.
func (k *kubelet) work(each func()) {
	for range 60 {
		pod := k.random.IntN(pods)
		for range k.random.IntN(3) {
			k.pull(pod, "web", "nginx")
		}
		if k.random.IntN(3) == 0 {
			k.pull(pod, "side", "quay.io/side:1")
		}
		if k.random.IntN(4) == 0 {
			k.record(pod, "init", "Normal", "Pulled", `Container image "nginx" already present on machine`)
		}
		if k.random.IntN(30) == 0 {
			k.catchUp()
			k.recorder = newRecorder() // the kubelet was started anew
		}
		time.Sleep(time.Duration(k.random.IntN(300)) * time.Second)
		if k.random.IntN(20) == 0 {
			time.Sleep(2 * time.Hour) // all is forgotten
		}
		each()
	}
	k.catchUp()
}

const pods = 3

// catchUp pulls everything once more when the recorder drops nothing, so that all numbers are told.
func (k *kubelet) catchUp() {
	for pod := range pods {
		time.Sleep(time.Hour)
		k.pull(pod, "web", "nginx")
		time.Sleep(time.Hour)
		k.pull(pod, "side", "quay.io/side:1")
	}
}

func ids(pulls []flow.Pull) []string {
	var out []string
	for _, p := range pulls {
		out = append(out, fmt.Sprintf("%s %x", p.Result, p.ID))
	}
	slices.Sort(out)
	return out
}

// However much the recorder counts together, combines and drops, each pull is told once, if it is waited for long enough: an
// end that was dropped may be told in the number of the next one.
func TestRecorder(t *testing.T) {
	patient := func(c *pull.Config) { c.Patience = 24 * time.Hour }
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			k, r, late := newKubelet(seed), newRig(patient), newRig(patient)
			next := 0
			watch := func() {
				for ; next < len(k.states); next++ {
					r.Add(k.states[next].at, &k.states[next].event)
				}
				r.flush(false)
			}
			k.work(func() {
				watch()
				if k.random.IntN(10) == 0 { // the watch broke, and all is listed anew
					for _, e := range k.stored {
						r.Add(time.Now(), e)
					}
				}
				if k.random.IntN(20) == 0 { // another collector looks at what there is
					for _, e := range k.stored {
						late.Add(time.Now(), e)
					}
				}
			})
			watch()
			r.flush(true)
			pulls := slices.DeleteFunc(slices.Clone(r.pulls), func(p flow.Pull) bool { return p.Result == flow.PullPresent })
			if len(pulls) != k.attempts {
				t.Errorf("seed %d: %d pulls were told of %d", seed, len(pulls), k.attempts)
			}
			all := ids(r.pulls)
			if left := len(slices.Compact(slices.Clone(all))); left != len(all) {
				t.Errorf("seed %d: %d identifiers for %d pulls", seed, left, len(all))
			}
			for _, p := range late.flush(true) {
				if id := ids([]flow.Pull{p})[0]; p.Result != flow.PullUnknown && !slices.Contains(all, id) {
					t.Errorf("seed %d: another collector told %s", seed, id)
				}
			}
		})
	}
}

// The states of a cluster's events come to the same pulls in any order and however often.
func TestAnyOrder(t *testing.T) {
	for seed := range uint64(20) {
		var k *kubelet
		synctest.Test(t, func(t *testing.T) {
			k = newKubelet(seed)
			k.work(func() {})
		})
		deliver := func(states []state) []string {
			r := newRig()
			for _, s := range states {
				r.Add(time.Time{}, &s.event)
			}
			r.flush(true)
			for _, s := range states {
				r.Add(time.Time{}, &s.event)
			}
			if again := r.flush(true); len(again) > 0 {
				t.Errorf("seed %d: told again: %s", seed, ids(again))
			}
			return ids(r.pulls)
		}
		want := deliver(k.states)
		for range 10 {
			states := slices.Clone(k.states)
			for range k.random.IntN(len(states)) {
				states = append(states, states[k.random.IntN(len(states))])
			}
			k.random.Shuffle(len(states), func(i, j int) { states[i], states[j] = states[j], states[i] })
			if diff := cmp.Diff(want, deliver(states)); diff != "" {
				t.Fatalf("seed %d: %s", seed, diff)
			}
		}
	}
}
