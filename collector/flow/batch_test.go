package flow_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
)

func TestBatchNextIsEmptyAfterReuse(t *testing.T) {
	b := flow.NewPool(2).Get()
	for range 3 { // one more than the pool's batches have room for
		r := b.Next()
		r.Verdict, r.DropCode = flow.Dropped, 187
	}
	if len(b.Records) != 3 || b.Len() != 3 {
		t.Fatalf("%d records, length %d, want 3", len(b.Records), b.Len())
	}
	b.Records = b.Records[:0]
	for range 3 {
		if r := b.Next(); r.Verdict != flow.VerdictUnknown || r.DropCode != 0 {
			t.Fatalf("a reused record still holds %v", r)
		}
	}
}

func TestBatchDrop(t *testing.T) {
	b := &flow.Batch{}
	b.Next().DropCode = 1
	b.Next().DropCode = 2
	b.Drop()
	b.Next().DropCode = 3
	b.Gaps = append(b.Gaps, flow.Gap{})
	var got []uint16
	for _, r := range b.Records {
		got = append(got, r.DropCode)
	}
	if diff := cmp.Diff([]uint16{1, 3}, got); diff != "" {
		t.Error(diff)
	}
	if b.Len() != 3 {
		t.Errorf("length %d, want two records and a gap", b.Len())
	}
}

func TestPoolGivesEmptyBatches(t *testing.T) {
	pool := flow.NewPool(8)
	if pool.Size() != 8 {
		t.Errorf("size %d", pool.Size())
	}
	for range 10 {
		b := pool.Get()
		if b.Len() != 0 || cap(b.Records) < 8 {
			t.Fatalf("a batch of the pool has %d rows and room for %d", b.Len(), cap(b.Records))
		}
		b.Next()
		b.Gaps, b.Beats = append(b.Gaps, flow.Gap{}), append(b.Beats, flow.Beat{})
		b.Charges, b.Buckets = append(b.Charges, flow.Charge{}), append(b.Buckets, flow.Bucket{})
		b.Release()
	}
}

func TestReleaseByTheLastHolder(t *testing.T) {
	b := flow.NewPool(1).Get()
	b.Next()
	b.Retain(2)
	b.Release()
	b.Release()
	if b.Len() != 1 {
		t.Fatal("the batch was emptied while one holder was left")
	}
	b.Release()
	if b.Len() != 0 {
		t.Fatal("the batch was not emptied by its last holder")
	}
}

func TestReleaseTooOftenPanics(t *testing.T) {
	pooled := flow.NewPool(1).Get()
	pooled.Release()
	for name, b := range map[string]*flow.Batch{"pooled": pooled, "never held": {}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			b.Release()
		}()
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	b := flow.NewPool(64).Get()
	if n := testing.AllocsPerRun(100, func() {
		b.Records = b.Records[:0]
		for range 64 {
			b.Next()
		}
	}); n != 0 {
		t.Errorf("%v allocations to fill a batch that has room", n)
	}
}
