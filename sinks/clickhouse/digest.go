package clickhouse

import (
	"encoding/hex"
	"hash"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/cespare/xxhash/v2"
)

// digest makes a token of the columns of a block: equal rows in the same order have the same, in every process, and names
// are hashed once each and not once a row.
type digest struct {
	buf  proto.Buffer
	hash hash.Hash
	sum  []byte
}

func newDigest() *digest { return &digest{hash: xxhash.New()} }

// of returns the token for what is sent.
func (d *digest) of(table string, columns proto.Input) string {
	d.hash.Reset()
	for _, col := range columns {
		d.buf.Reset()
		d.buf.PutString(col.Name)
		if col.Data.Rows() > 0 {
			col.Data.EncodeColumn(&d.buf)
		}
		d.hash.Write(d.buf.Buf)
	}
	d.sum = d.hash.Sum(d.sum[:0])
	return table + "-" + hex.EncodeToString(d.sum)
}
