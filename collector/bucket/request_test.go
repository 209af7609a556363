package bucket_test

import (
	"net/netip"
	"testing"
	"time"

	"sextant/collector/flow"
)

// answer is an HTTP answer to a connection's client, as Envoy tells it.
func (r *rig) answer(c *flow.Connection, method, url string, status uint16) flow.Record {
	return flow.Record{
		Time: c.First, UUID: r.id(), Node: c.Node, Cluster: c.Cluster, EventType: flow.EventL7, L7Type: flow.L7Response, IsReply: flow.Yes,
		Verdict: flow.Forwarded, Family: c.Family, Protocol: flow.TCP, Source: c.Destination, Destination: c.Source, Direction: flow.EgressDirection,
		SourceNAT: flow.SourceNAT66, SourceNATEvidence: flow.Inferred,
		HTTP: flow.HTTP{Method: r.names.Name(method), URL: r.names.Name(url), Status: status},
	}
}

// TestRequests: where requests can be seen they count, and not their connection.
func TestRequests(t *testing.T) {
	const manifests = "http://registry-1.docker.io/v2/library/nginx/manifests/"
	type request struct {
		method, url string
		status      uint16
	}
	for _, row := range []struct {
		name           string
		requests       []request
		used, limited  uint32
		abuse, further uint32 // of the limit of all requests, and of another host
	}{
		{"none can be seen", nil, 1, 0, 1, 0},
		{"two pulls in one connection", []request{{"GET", manifests + "1", 200}, {"GET", manifests + "2", 200}}, 2, 0, 2, 0},
		{"a HEAD is no pull", []request{{"HEAD", manifests + "1", 200}, {"GET", "http://registry-1.docker.io/v2/", 401}}, 0, 0, 2, 0},
		{"too many", []request{{"GET", manifests + "1", 200}, {"GET", manifests + "2", 429}}, 2, 1, 2, 0},
		{"a HEAD that is refused as too many", []request{{"HEAD", manifests + "1", 429}}, 1, 1, 1, 0},
		{"by the name that the address has", []request{{"GET", "http://10.0.0.1/v2/a/manifests/b", 200}}, 1, 0, 1, 0},
		{"with a port", []request{{"GET", "http://registry-1.docker.io:80/v2/a/manifests/b?x=y", 200}}, 1, 0, 1, 0},
	} {
		r := newRig(t, "")
		r.SetFacts(r.twoNodes(flow.Yes))
		c := r.connection(hub, "2001:db8:a::1")
		b := &flow.Batch{}
		for _, q := range row.requests {
			b.Records = append(b.Records, r.answer(&c, q.method, q.url, q.status))
		}
		r.Process(b)
		rows := map[string]flow.Bucket{}
		for _, told := range r.flush(c).Buckets {
			rows[told.Service.String()] = told
		}
		if got := rows[hub]; got.Used != row.used || got.Limited != row.limited || row.used > 0 && got.Bucket.String() != "2001:db8:a::/64" {
			t.Errorf("%s: %d used of %q, %d of them refused; want %d and %d", row.name, got.Used, got.Bucket, got.Limited, row.used, row.limited)
		}
		if got := rows[hub+" abuse"].Used; got != row.abuse {
			t.Errorf("%s: %d used of the limit of all requests, want %d", row.name, got, row.abuse)
		}
	}
}

// TestRequestsOnly: a limit of some requests alone is not charged with connections of which nobody knows what they ask.
func TestRequestsOnly(t *testing.T) {
	r := newRig(t, "")
	c := r.connection("huggingface.co", "2001:db8:a::1")
	r.Process(&flow.Batch{Records: []flow.Record{r.answer(&c, "GET", "http://huggingface.co/api/models", 200)}})
	other := r.connection("huggingface.co", "2001:db8:a::1", func(c *flow.Connection) { c.Source.IP = netip.MustParseAddr("fd00:1::2") })
	got := map[string]uint32{}
	for _, told := range r.flush(c, other).Buckets {
		got[told.Service.String()] += told.Used
	}
	if got["huggingface.co"] != 1 || got["huggingface.co api"] != 1 || got["huggingface.co pages"] != 1 {
		t.Errorf("used %v, want one each", got)
	}
}

// TestPortUsedAgain: what another connection of the same ports asked much earlier says nothing of this one.
func TestPortUsedAgain(t *testing.T) {
	r := newRig(t, "")
	c := r.connection(hub, "2001:db8:a::1")
	r.Process(&flow.Batch{Records: []flow.Record{r.answer(&c, "GET", "http://registry-1.docker.io/v2/a/manifests/b", 200)}})
	c.ID, c.First, c.Last = r.id(), c.First.Add(time.Hour), c.Last.Add(time.Hour)
	if got := of(r.flush(c), hub); len(got) == 0 || r.flush().Buckets[0].Measure != flow.MeasureRequest && len(got) != 2 {
		t.Errorf("%v", got)
	}
	var used uint32
	for _, b := range r.flush().Buckets {
		if b.Service.String() == hub {
			used += b.Used
		}
	}
	if used != 2 {
		t.Errorf("%d used, want 2", used)
	}
}
