package prometheus_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sextant/collector/flow"
	"sextant/sinks/prometheus"
)

func (r rig) buckets(buckets ...flow.Bucket) *flow.Batch { return &flow.Batch{Buckets: buckets} }

// used is the series of how much of a bucket was used.
func used(prefix string) string {
	return `sextant_rate_limit_used{bucket="` + prefix + `",cluster="default",evidence="inferred",family="ipv4",service="registry.example"}`
}

// service is a series of all buckets of the registry.
func service(metric string) string { return metric + `{cluster="default",service="registry.example"}` }

// Only the fullest have series of their own; all count in the totals.
func TestFullestBuckets(t *testing.T) {
	r := open(t, prometheus.Config{MaxSeries: 1000, FullestBuckets: 2})
	seen := r.bucket("192.0.2.5", 5, 0) // no limit is published
	seen.Unseen = flow.UnseenNothing
	elsewhere := r.bucket("192.0.2.6", 1, 100)
	elsewhere.Service = r.names.Name("git.example")
	r.write(t, r.buckets(r.bucket("192.0.2.1", 50, 100), r.bucket("192.0.2.2", 90, 1000), r.bucket("192.0.2.3", 101, 100), r.bucket("192.0.2.4", 100, 100), seen, elsewhere))
	r.want(t, map[string]string{
		used("192.0.2.3"): "101", used("192.0.2.4"): "100", used("192.0.2.1"): "", used("192.0.2.2"): "", used("192.0.2.5"): "",
		strings.ReplaceAll(used("192.0.2.6"), "registry", "git"): "1", // each service has its own fullest
		service(prometheus.MetricRateLimitBuckets):               "5",
		service(prometheus.MetricRateLimitExceededBuckets):       "1",
		service(prometheus.MetricRateLimitBlindBuckets):          "4",
		service(prometheus.MetricRateLimitFullestRatio):          "1.01",
	})

	// A bucket is told again when it has changed. It takes its series along to other evidence, and leaves nothing when it is empty.
	better := r.bucket("192.0.2.1", 200, 100)
	better.Evidence, better.Time = flow.BucketProbed, begin.Add(time.Minute)
	empty := r.bucket("192.0.2.3", 0, 100)
	empty.Unseen = flow.UnseenNothing
	r.write(t, r.buckets(better, empty))
	r.want(t, map[string]string{
		strings.ReplaceAll(used("192.0.2.1"), "inferred", "probed"): "200", used("192.0.2.4"): "100", used("192.0.2.1"): "", used("192.0.2.3"): "",
		service(prometheus.MetricRateLimitBuckets):          "4",
		service(prometheus.MetricRateLimitFullestRatio):     "2",
		service(prometheus.MetricRateLimitTimestampSeconds): "1.79550048825e+09",
	})

	// Nothing used where nothing could be seen is not nothing.
	r.write(t, r.buckets(r.bucket("192.0.2.4", 0, 100)))
	r.want(t, map[string]string{service(prometheus.MetricRateLimitBuckets): "4", service(prometheus.MetricRateLimitBlindBuckets): "3"})
}

func TestUnlimitedService(t *testing.T) {
	r := open(t, prometheus.Default())
	r.write(t, r.buckets(r.bucket("192.0.2.1", 50, 0)))
	values := r.values(t)
	for series := range values {
		for _, metric := range []string{prometheus.MetricRateLimitLimit, prometheus.MetricRateLimitHeadroom, prometheus.MetricRateLimitFullestRatio, prometheus.MetricRateLimitExhaustedInSeconds} {
			if strings.HasPrefix(series, metric+"{") {
				t.Errorf("%s %s though no limit is known", series, values[series])
			}
		}
	}
	if values[used("192.0.2.1")] != "50" {
		t.Error("the uses are not shown")
	}
}

// What is not told any more has slid out of its window at its end; of what nothing shows that cannot be said.
func TestBucketsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, prometheus.Default())
		hour, blind, minute := r.bucket("192.0.2.1", 50, 100), r.bucket("192.0.2.2", 50, 100), r.bucket("192.0.2.3", 50, 100)
		minute.WindowSeconds, minute.Unseen = 60, flow.UnseenNothing
		hour.WindowSeconds, hour.Unseen, blind.WindowSeconds = 3600, flow.UnseenNothing, 3600
		r.write(t, r.buckets(hour, blind, minute))
		time.Sleep(14 * time.Minute)
		r.want(t, map[string]string{used("192.0.2.3"): "50"})
		time.Sleep(36 * time.Minute)
		r.want(t, map[string]string{used("192.0.2.3"): ""})
		r.write(t, r.buckets(hour))
		time.Sleep(59 * time.Minute)
		r.want(t, map[string]string{used("192.0.2.1"): "50", used("192.0.2.2"): "50"})
		time.Sleep(2 * time.Minute)
		r.want(t, map[string]string{used("192.0.2.1"): "", used("192.0.2.2"): "50", service(prometheus.MetricRateLimitBuckets): "1"})
		time.Sleep(24 * time.Hour)
		r.want(t, map[string]string{used("192.0.2.2"): "", service(prometheus.MetricRateLimitBuckets): ""})
	})
}

// Two prefixes that look the same are one series, and a page that can be read.
func TestBucketsThatLookTheSame(t *testing.T) {
	r := open(t, prometheus.Default())
	r.write(t, r.buckets(r.bucket("a\xff", 1, 100), r.bucket("a\xfe", 2, 100)))
	r.want(t, map[string]string{used("a\ufffd"): "2", service(prometheus.MetricRateLimitBuckets): "1"})
}

// Of a million prefixes the fullest are shown, and that there was no room for all is counted.
func TestMillionBuckets(t *testing.T) {
	r := open(t, prometheus.Config{MaxSeries: 100, FullestBuckets: 3})
	r.write(t, r.buckets(r.bucket("first", 99, 100)))
	var few [1000]flow.Name // a million pairs of them
	for n := range few {
		few[n] = r.names.Name(fmt.Sprint(n))
	}
	b := r.buckets()
	for n := range len(few) * len(few) {
		one := r.bucket("", 1+uint32(n%7), 100)
		one.Service, one.Bucket = few[n/len(few)], few[n%len(few)]
		b.Buckets = append(b.Buckets, one)
		if len(b.Buckets) == 10_000 {
			r.write(t, b)
			b.Buckets = b.Buckets[:0]
		}
	}
	r.write(t, r.buckets(r.bucket("last", 98, 100)))
	r.want(t, map[string]string{
		used("first"): "99", used("last"): "98",
		service(prometheus.MetricRateLimitBuckets):                                      "2",
		`sextant_prometheus_series_overflow_total{metric="sextant_rate_limit_buckets"}`: "999902",
	})
	held := 0
	for series, value := range r.values(t) {
		if strings.HasPrefix(series, prometheus.MetricRateLimitBuckets+"{") {
			n, _ := strconv.Atoi(value)
			held += n
		}
	}
	if held != 100 {
		t.Errorf("%d buckets are held, there is room for 100", held)
	}
}
