package pull

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sextant/enrich/kube"
)

// step is what an event says of a pull.
type step uint8

const (
	other   step = iota // not about a pull, or not about an attempt
	begun               // it began
	pulled              // it succeeded
	present             // there was none: the image was there already
	failed              // it failed
	held                // it failed before the registry was asked, by the kubelet's own limit
	unread              // about a pull, in words that are not known
)

var stepNames = []string{"other", "begun", "pulled", "present", "failed", "held", "unread"}

// notice is what the message of an event says.
type notice struct {
	step  step
	image string // as the pod has it
	// The message of an event that stands for several, of which it quotes the latest: the kubelet's recorder does so with
	// those that differ in nothing else once there are ten within ten minutes (client-go/tools/record, EventAggregator).
	combined bool
	took     time.Duration // without waiting for other pulls; -1 when it was not said
	waited   time.Duration // -1 when it was not said
	bytes    uint64        // 0 when it was not said
	why      string        // of failed
}

// longestMessage is how much of a message is read.
const longestMessage = 16 << 10

const combinedPrefix = "(combined from similar events): " // EventAggregatorByReasonMessageFunc

// read reads an event. The kubelet's words are those of pkg/kubelet/images/image_manager.go, the reasons those of
// pkg/kubelet/events/event.go:
//
//	Pulling  Pulling image "x"                                           formerly "pulling image"
//	Pulled   Successfully pulled image "x"                               before kubernetes#91563
//	Pulled   Successfully pulled image "x" in 3.4s                       before kubernetes#111772; waiting included
//	Pulled   Successfully pulled image "x" in 1.2s (3.4s including waiting)
//	Pulled   Successfully pulled image "x" in 1.2s (3.4s including waiting). Image size: 5 bytes.
//	Pulled   Container image "x" already present on machine
//	Pulled   Container image "x" already present on machine and can be accessed by the pod
//	Failed   Failed to pull image "x": …                                 FailedPullImage on some clouds' nodes
//
// All else is no attempt. "Error: ErrImagePull" and "Error: ImagePullBackOff" (Failed), which follow on a failure, and
// "Back-off pulling image" (BackOff) repeat what was told, and InspectFailed and ErrImageNeverPull come before it. Init and
// ephemeral containers and image volumes say the same as containers.
func read(e *kube.Event) notice {
	n := notice{took: -1, waited: -1}
	if e.InvolvedObject.Kind != string(kube.KindPod) {
		return n
	}
	text := e.Message[:min(len(e.Message), longestMessage)]
	text, n.combined = strings.CutPrefix(text, combinedPrefix)
	switch e.Reason {
	case "Pulling":
		if _, ok := n.about(text, "pulling image "); ok {
			n.step = begun
			return n
		}
	case "Pulled":
		if rest, ok := n.about(text, "successfully pulled image "); ok {
			n.step = pulled
			n.measure(rest)
			return n
		}
		if rest, ok := n.about(text, "container image "); ok && strings.HasPrefix(rest, " already present") {
			n.step = present
			return n
		}
	case "Failed", "FailedPullImage":
		rest, ok := n.about(text, "failed to pull image ")
		switch {
		case !ok:
			return n
		case strings.HasSuffix(rest, ": pull QPS exceeded"): // registryPullQPS, pkg/kubelet/images/helpers.go
			n.step = held
		default:
			n.step, n.why = failed, strings.TrimPrefix(rest, ": ")
		}
		return n
	default:
		return n
	}
	n.step = unread
	return n
}

// about reads the image after a prefix, whatever the case of its first letter, and returns what follows.
func (n *notice) about(text, prefix string) (rest string, ok bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return "", false
	}
	text = text[len(prefix):]
	quoted, err := strconv.QuotedPrefix(text) // %q
	if err != nil || quoted[0] != '"' {
		return "", false
	}
	n.image, err = strconv.Unquote(quoted)
	return text[len(quoted):], err == nil
}

// measure reads ` in 1.2s (3.4s including waiting). Image size: 5 bytes.`, as far as it goes.
func (n *notice) measure(text string) {
	text, size, _ := strings.Cut(text, ". Image size: ")
	if digits, ok := strings.CutSuffix(size, " bytes."); ok {
		if bytes, err := strconv.ParseUint(digits, 10, 64); err == nil {
			n.bytes = bytes // 0 where the runtime did not say (puller.go: best effort)
		}
	}
	text, ok := strings.CutPrefix(text, " in ")
	if !ok {
		return
	}
	text, all, _ := strings.Cut(text, " (")
	took, err := time.ParseDuration(text)
	if err != nil || took < 0 {
		return
	}
	n.took = took
	if all, ok = strings.CutSuffix(all, " including waiting)"); ok {
		if total, err := time.ParseDuration(all); err == nil && total >= took {
			n.waited = total - took
		}
	}
}

// plain returns text fit to be stored and shown: at most n bytes of it, on one line, without what does not print.
func plain(text string, n int) string {
	if len(text) > n {
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text))
}
