package flow

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends v as one JSON object whose first key, "record", is kind and whose others are the fields, all of
// them, in order. What is absent or not known is null where the field is an address, a time, a UUID or a count, the
// enum's first word, an empty string or list, or 0. Times are RFC 3339 with nanoseconds, addresses RFC 5952.
func AppendJSON[R any](dst []byte, kind string, fields []Field[R], v *R) []byte {
	dst = append(dst, `{"record":`...)
	dst = appendString(dst, kind)
	for i := range fields {
		f := &fields[i]
		dst = append(dst, ',', '"')
		dst = append(dst, f.Name...)
		dst = append(dst, '"', ':')
		switch {
		case f.Time != nil:
			dst = appendTime(dst, f.Time(v))
		case f.UUID != nil:
			dst = appendUUID(dst, f.UUID(v))
		case f.Addr != nil:
			dst = appendAddr(dst, f.Addr(v))
		case f.Addrs != nil:
			dst = appendList(dst, f.Addrs(v), appendAddr)
		case f.U8 != nil:
			dst = strconv.AppendUint(dst, uint64(f.U8(v)), 10)
		case f.U16 != nil:
			dst = strconv.AppendUint(dst, uint64(f.U16(v)), 10)
		case f.U32 != nil:
			dst = strconv.AppendUint(dst, uint64(f.U32(v)), 10)
		case f.U64 != nil:
			dst = strconv.AppendUint(dst, f.U64(v), 10)
		case f.Count != nil:
			if c := f.Count(v); c.Known {
				dst = strconv.AppendUint(dst, c.N, 10)
			} else {
				dst = append(dst, "null"...)
			}
		case f.Enum != nil:
			dst = appendString(dst, word(f.Words, f.Enum(v)))
		case f.Str != nil:
			dst = appendString(dst, f.Str(v).String())
		case f.Strs != nil:
			dst = appendList(dst, f.Strs(v).Get(), func(dst []byte, n Name) []byte { return appendString(dst, n.String()) })
		}
	}
	return append(dst, '}')
}

func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = t.AppendFormat(dst, "2006-01-02T15:04:05.000000000Z07:00")
	return append(dst, '"')
}

func appendUUID(dst []byte, u UUID) []byte {
	if u == (UUID{}) {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = u.AppendText(dst)
	return append(dst, '"')
}

// AppendText appends the 36 characters of RFC 9562 section 4.
func (u UUID) AppendText(dst []byte) []byte {
	dst = hex.AppendEncode(dst, u[:4])
	for _, part := range [][]byte{u[4:6], u[6:8], u[8:10], u[10:]} {
		dst = append(dst, '-')
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}

func (u UUID) String() string { return string(u.AppendText(nil)) }

func appendAddr(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = a.AppendTo(dst)
	return append(dst, '"')
}

func appendList[T any](dst []byte, list []T, one func([]byte, T) []byte) []byte {
	dst = append(dst, '[')
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = one(dst, v)
	}
	return append(dst, ']')
}

// appendString quotes s. What a stranger put into a name must not break the line or the terminal that shows it, so
// control characters are escaped and bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c < 0x20 || c >= 0x7f && c < 0xa0 || c == 0x2028 || c == 0x2029:
			dst = append(dst, '\\', 'u', digits[c>>12&15], digits[c>>8&15], digits[c>>4&15], digits[c&15])
		default:
			dst = utf8.AppendRune(dst, c)
		}
	}
	return append(dst, '"')
}
