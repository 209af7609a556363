package prometheus

import (
	"cmp"
	"slices"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
)

// Charges are the metrics made from charges. What a node did shows as its connections and as the pulls of events: these must
// not be added up.
var Charges = []Metric[flow.Charge]{
	{
		Name:   MetricRateLimitUsesTotal,
		Help:   "Uses of services that limit how much an address prefix may use them, by what was counted and by whether pods or nodes did it.",
		Labels: []string{LabelCluster, LabelService, LabelFamily, LabelEvidence, LabelMeasure, LabelSide},
		Add:    func(c *flow.Charge) float64 { return float64(max(1, c.Uses)) },
	},
	{
		Name:   MetricRateLimitRefusalsTotal,
		Help:   "Uses of such services that were refused as too many.",
		Labels: []string{LabelCluster, LabelService},
		Add: func(c *flow.Charge) float64 {
			if !c.Limited {
				return 0
			}
			return float64(max(1, c.Uses))
		},
	},
}

// Fullest are the metrics of each service's fullest buckets. That they are few is what allows the prefix as a label.
var Fullest = []Metric[flow.Bucket]{
	{
		Name:   MetricRateLimitUsed,
		Help:   "Uses of a service by one address prefix in the window that slides; of the service's fullest prefixes only.",
		Labels: bucketLabels,
		Set:    func(b *flow.Bucket) (float64, bool) { return float64(b.Used), b.Seen() },
	},
	{
		Name:   MetricRateLimitLimit,
		Help:   "Uses that the service allows in the window.",
		Labels: bucketLabels,
		Set:    func(b *flow.Bucket) (float64, bool) { return float64(b.Limit.N), b.Limit.Known },
	},
	{
		Name:   MetricRateLimitHeadroom,
		Help:   "Uses left of the limit.",
		Labels: bucketLabels,
		Set:    func(b *flow.Bucket) (float64, bool) { return float64(b.Headroom.N), b.Headroom.Known },
	},
	{
		Name:   MetricRateLimitWindowSeconds,
		Help:   "Length of the window.",
		Labels: bucketLabels,
		Set:    func(b *flow.Bucket) (float64, bool) { return float64(b.WindowSeconds), true },
	},
	{
		Name:   MetricRateLimitSeenSeconds,
		Help:   "How much of the window was watched so far; what was before is missing in the uses.",
		Labels: bucketLabels,
		Set:    func(b *flow.Bucket) (float64, bool) { return float64(b.SeenSeconds), true },
	},
	{
		Name:   MetricRateLimitExhaustedInSeconds,
		Help:   "Time until the limit is reached at the present speed; there where it is going to be.",
		Labels: bucketLabels,
		Set:    func(b *flow.Bucket) (float64, bool) { return float64(b.ExhaustedIn.N), b.ExhaustedIn.Known },
	},
	{
		Name:   MetricRateLimitRefused,
		Help:   "Uses in the window that were refused as too many.",
		Labels: bucketLabels,
		Set:    func(b *flow.Bucket) (float64, bool) { return float64(b.Limited), true },
	},
}

var bucketLabels = []string{LabelCluster, LabelService, LabelBucket, LabelFamily, LabelEvidence}

// Services are the metrics of all buckets of a service together.
var Services = []Metric[Service]{
	{
		Name:   MetricRateLimitBuckets,
		Help:   "Address prefixes by which the service counts this cluster's uses.",
		Labels: serviceLabels,
		Set:    func(s *Service) (float64, bool) { return float64(s.buckets), true },
	},
	{
		Name:   MetricRateLimitExceededBuckets,
		Help:   "Those of which more was used than the limit allows.",
		Labels: serviceLabels,
		Set:    func(s *Service) (float64, bool) { return float64(s.exceeded), true },
	},
	{
		Name:   MetricRateLimitBlindBuckets,
		Help:   "Those whose uses may miss what nodes themselves did, such as pulling images, because nothing shows it.",
		Labels: serviceLabels,
		Set:    func(s *Service) (float64, bool) { return float64(s.blind), true },
	},
	{
		Name:   MetricRateLimitFullestRatio,
		Help:   "Uses as a share of the limit, of the fullest bucket; there where a limit is known.",
		Labels: serviceLabels,
		Set:    func(s *Service) (float64, bool) { return s.fullest, s.limited },
	},
	{
		Name:   MetricRateLimitTimestampSeconds,
		Help:   "End of the window of the bucket that was told last. At most about ten minutes old while there is something to tell.",
		Labels: serviceLabels,
		Set:    func(s *Service) (float64, bool) { return seconds(s.newest), true },
	},
}

var serviceLabels = []string{LabelCluster, LabelService}

// Service is what is known of all buckets of one limited service at one time.
type Service struct {
	newest                   time.Time
	buckets, exceeded, blind int
	limited                  bool
	fullest                  float64

	top []*flow.Bucket // the fullest first
}

// limits holds the last word on each bucket. A bucket is told when it has changed, and for the last time when it is empty.
type limits struct {
	top        int // of a service
	limit      int // of all
	buckets    map[bucketKey]*bucket
	overflowed uint64
	fullest    []*client.Desc // as Fullest
	totals     []*client.Desc // as Services
}

// bucketKey has text and not handles, so that what looks the same is the same.
type bucketKey struct {
	serviceKey
	prefix string
	family flow.Family
}

type serviceKey struct{ cluster, name string }

type bucket struct {
	row  flow.Bucket
	told time.Duration // since the sink began
}

func newLimits(top, limit int) limits {
	l := limits{top: top, limit: limit, buckets: map[bucketKey]*bucket{}}
	for _, m := range Fullest {
		l.fullest = append(l.fullest, client.NewDesc(m.Name, m.Help, m.Labels, nil))
	}
	for _, m := range Services {
		l.totals = append(l.totals, client.NewDesc(m.Name, m.Help, m.Labels, nil))
	}
	return l
}

// takeLocked takes the state of a bucket.
func (l *limits) takeLocked(row *flow.Bucket, now time.Duration) {
	k := bucketKey{
		serviceKey{labelValue(row.Cluster.String()), labelValue(row.Service.String())}, labelValue(row.Bucket.String()), row.Family,
	}
	b := l.buckets[k]
	if row.Used == 0 && row.Limited == 0 && row.Unseen != flow.UnseenNode { // of a bucket in which nothing shows there is something to say
		delete(l.buckets, k)
		return
	}
	if b == nil {
		if len(l.buckets) >= l.limit && !l.displaceLocked(row) {
			return
		}
		b = &bucket{}
		l.buckets[k] = b
	}
	b.row, b.told = *row, now
	b.row.TopWorkloads, b.row.TopImages, b.row.TopNodes = flow.Names{}, flow.Names{}, flow.Names{}
}

// displaceLocked makes room for a bucket at the cost of one that is less full, the least of a few that it looks at.
func (l *limits) displaceLocked(row *flow.Bucket) bool {
	l.overflowed++
	const few = 8
	var least bucketKey
	var emptiest *flow.Bucket
	seen := 0
	for k, b := range l.buckets { // in no order
		if emptiest == nil || fuller(&b.row, emptiest) > 0 {
			least, emptiest = k, &b.row
		}
		if seen++; seen == few {
			break
		}
	}
	if fuller(row, emptiest) >= 0 {
		return false
	}
	delete(l.buckets, least)
	return true
}

// fuller orders buckets: the fullest first, then those that were used most, then by name.
func fuller(a, b *flow.Bucket) int {
	return cmp.Or(
		cmp.Compare(fullness(b), fullness(a)), cmp.Compare(b.Used, a.Used), cmp.Compare(a.Bucket.String(), b.Bucket.String()),
		cmp.Compare(a.Family, b.Family),
	)
}

// fullness is the used share of the limit, 0 where no limit is known. A limit of nothing is as full as can be.
func fullness(b *flow.Bucket) float64 {
	if !b.Limit.Known {
		return 0
	}
	return float64(b.Used) / float64(max(1, b.Limit.N))
}

const (
	// quietTTL is how long at least a bucket is kept that nobody tells of: it may fill as fast as its short window empties it.
	quietTTL = 15 * time.Minute

	// blindTTL is that of a bucket of which only is known that nothing shows what nodes use of it.
	blindTTL = 24 * time.Hour
)

// forgetLocked lets go of buckets that were not told for so long that all that was in them has slid out of their window.
func (l *limits) forgetLocked(now time.Duration) {
	for k, b := range l.buckets {
		ttl := max(quietTTL, time.Duration(b.row.WindowSeconds)*time.Second)
		if b.row.Unseen == flow.UnseenNode {
			ttl = max(ttl, blindTTL)
		}
		if now-b.told > ttl {
			delete(l.buckets, k)
		}
	}
}

func (l *limits) servicesLocked() map[serviceKey]*Service {
	all := map[serviceKey]*Service{}
	for k, b := range l.buckets {
		s := all[k.serviceKey]
		if s == nil {
			s = &Service{}
			all[k.serviceKey] = s
		}
		s.takeLocked(&b.row, l.top)
	}
	return all
}

func (s *Service) takeLocked(b *flow.Bucket, top int) {
	s.buckets++
	if b.Time.After(s.newest) {
		s.newest = b.Time
	}
	if b.Unseen == flow.UnseenNode {
		s.blind++
	}
	if b.Limit.Known {
		s.limited, s.fullest = true, max(s.fullest, fullness(b))
		if uint64(b.Used) > b.Limit.N {
			s.exceeded++
		}
	}
	at, _ := slices.BinarySearchFunc(s.top, b, fuller)
	if at < top {
		s.top = slices.Insert(s.top, at, b)
		s.top = s.top[:min(top, len(s.top))]
	}
}

func (l *limits) samplesLocked(all []sample) []sample {
	for k, s := range l.servicesLocked() {
		labels := []string{k.cluster, k.name}
		for i := range Services {
			if v, ok := Services[i].Set(s); ok {
				all = append(all, sample{l.totals[i], client.GaugeValue, v, labels})
			}
		}
		for _, b := range s.top {
			labels := []string{k.cluster, k.name, labelValue(b.Bucket.String()), b.Family.String(), b.Evidence.String()}
			for i := range Fullest {
				if v, ok := Fullest[i].Set(b); ok {
					all = append(all, sample{l.fullest[i], client.GaugeValue, v, labels})
				}
			}
		}
	}
	return all
}
