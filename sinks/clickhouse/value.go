package clickhouse

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// plain turns a value as the driver gives it into one of the kinds that Rows.All names. typ is the type of its column.
func plain(v reflect.Value, typ string) any {
	switch v.Kind() {
	case reflect.Invalid: // nil
		return nil
	case reflect.Interface, reflect.Pointer:
		return plain(v.Elem(), typ)
	}
	switch x := v.Interface().(type) {
	case time.Time:
		return x.Format(timeLayout(typ))
	case net.IP:
		addr, _ := netip.AddrFromSlice(x)
		return addr.Unmap().String()
	}
	methods := v
	if v.CanAddr() && v.Kind() == reflect.Struct {
		methods = v.Addr()
	}
	switch x := methods.Interface().(type) {
	case interface{ NestedMap() map[string]any }: // JSON
		return plain(reflect.ValueOf(x.NestedMap()), typ)
	case interface{ Any() any }: // Variant and Dynamic
		return plain(reflect.ValueOf(x.Any()), typ)
	case fmt.Stringer: // UUID, decimals, wide integers, intervals
		return x.String()
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i), typ)
		}
		return list
	case reflect.Map:
		object := make(map[string]any, v.Len())
		for key, value := range v.Seq2() {
			object[Text(plain(key, typ))] = plain(value, typ)
		}
		return object
	case reflect.Struct:
		return fmt.Sprint(v.Interface())
	}
	return v.Interface()
}

// timeLayout returns the layout for a column's times: RFC 3339 with as many digits as the type holds, or the day alone.
func timeLayout(typ string) string {
	_, rest, found := strings.Cut(typ, "DateTime64(")
	if found && rest[0] >= '1' && rest[0] <= '9' {
		return "2006-01-02T15:04:05." + strings.Repeat("0", int(rest[0]-'0')) + "Z07:00"
	}
	if strings.Contains(typ, "Date") && !strings.Contains(typ, "DateTime") {
		return time.DateOnly
	}
	return time.RFC3339Nano
}

// Text returns a value of Rows.All as it stands in a cell of a table.
func Text(v any) string {
	switch x := v.(type) {
	case nil:
		return "NULL"
	case string:
		return x
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	case float32:
		return strconv.FormatFloat(float64(x), 'g', -1, 32)
	case []any, map[string]any:
		return string(appendJSON(nil, x))
	}
	return fmt.Sprint(v)
}

func appendJSON(dst []byte, v any) []byte {
	switch x := v.(type) {
	case []any:
		dst = append(dst, '[')
		for i, e := range x {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, e)
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for i, key := range slices.Sorted(maps.Keys(x)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, key)
			dst = append(dst, ':')
			dst = appendJSON(dst, x[key])
		}
		return append(dst, '}')
	case string:
		return appendJSONString(dst, x)
	}
	encoded, err := json.Marshal(v)
	if err != nil { // JSON has no word for NaN and the infinities
		return append(dst, "null"...)
	}
	return append(dst, encoded...)
}

// appendJSONString escapes more than it must: a terminal may obey the control characters from U+007F on as well.
func appendJSONString(dst []byte, s string) []byte {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		return append(dst, "null"...) // never: the writer takes anything and a string is always JSON
	}
	for _, c := range strings.TrimSuffix(b.String(), "\n") {
		if c >= 0x7f && c < 0xa0 {
			dst = fmt.Appendf(dst, `\u%04x`, c)
		} else {
			dst = utf8.AppendRune(dst, c)
		}
	}
	return dst
}
