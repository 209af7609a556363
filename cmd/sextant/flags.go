package main

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// A section is one package's Config as a section of the settings file and a group of flags. The Config's field tags are
// the only place where a setting is written down: yaml is its key, doc its help, flag its flag where that is not
// --section-key. Its default is what the Config holds before anything is parsed.
type section struct {
	cfg   reflect.Value // the Config
	flags reflect.Value // pointer to a struct of the same leaves, which kong fills
}

// newSection makes the section of cfg, a pointer to a Config. The flags of a bare section do not begin with its name.
func newSection(name string, bare bool, cfg any) *section {
	s := &section{cfg: reflect.ValueOf(cfg).Elem()}
	var fields []reflect.StructField
	leaves(s.cfg, name, func(key string, field reflect.StructField, value reflect.Value) {
		flag := strings.NewReplacer(".", "-", "_", "-").Replace(key)
		if bare {
			flag = strings.TrimPrefix(flag, name+"-")
		}
		if own := field.Tag.Get("flag"); own != "" {
			flag = own
		}
		tag := fmt.Sprintf(`key:%q name:%q help:%q group:%q env:%q`,
			key, flag, sentence(field.Tag.Get("doc")), name, "SEXTANT_"+strings.ToUpper(strings.ReplaceAll(flag, "-", "_")))
		switch text := defaultText(value); {
		case value.Kind() == reflect.Bool:
			tag += fmt.Sprintf(` negatable:"" default:"%t"`, value.Bool())
		case text != "":
			tag += fmt.Sprintf(` default:%q`, text)
		default:
			tag += fmt.Sprintf(` placeholder:%q`, strings.ToUpper(flag[strings.LastIndexByte(flag, '-')+1:]))
		}
		if value.Kind() == reflect.Slice {
			tag += ` sep:"none"` // a filter is JSON and holds commas; the flag is given several times instead
		}
		fields = append(fields, reflect.StructField{
			Name: "F" + strconv.Itoa(len(fields)), Type: value.Type(), Tag: reflect.StructTag(tag),
		})
	})
	s.flags = reflect.New(reflect.StructOf(fields))
	return s
}

// apply moves what kong has parsed into the Config.
func (s *section) apply() {
	i := 0
	leaves(s.cfg, "", func(_ string, _ reflect.StructField, value reflect.Value) {
		value.Set(s.flags.Elem().Field(i))
		i++
	})
}

// sections are the settings of one command.
type sections []*section

func (all sections) plugins() kong.Plugins {
	var p kong.Plugins
	for _, s := range all {
		p = append(p, s.flags.Interface())
	}
	return p
}

func (all sections) apply() {
	for _, s := range all {
		s.apply()
	}
}

// leaves calls fn for every field with a yaml tag that is no struct of such fields itself.
func leaves(v reflect.Value, prefix string, fn func(key string, field reflect.StructField, value reflect.Value)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := field.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		key := strings.TrimPrefix(prefix+"."+name, ".")
		if field.Type.Kind() == reflect.Struct {
			leaves(v.Field(i), key, fn)
			continue
		}
		fn(key, field, v.Field(i))
	}
}

func defaultText(v reflect.Value) string {
	if v.IsZero() || v.Kind() == reflect.Slice {
		return ""
	}
	return fmt.Sprint(v.Interface())
}

// sentence makes a doc tag the sentence that help prints.
func sentence(doc string) string {
	if doc == "" {
		return ""
	}
	return strings.ToUpper(doc[:1]) + doc[1:] + "."
}
