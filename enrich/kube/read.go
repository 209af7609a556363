package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxKeys bounds one YAML mapping: the decoder compares each key with every other.
const maxKeys = 20_000

// A tree is a document or a part of one that is not decoded yet.
type tree interface {
	// Decode fills a struct, matching its fields by name without regard to case, or by their tags.
	Decode(into any) error
	// list returns the elements when the tree is a list.
	list() ([]tree, bool)
	// head returns the words that say what an object is, empty where it is none, and its items when it is a List.
	head() (apiVersion, kind string, items []tree)
}

// parse returns the documents of a file, the empty ones left out. JSON is YAML but for what some programs write (surrogate
// pairs, tabs, several values without separators), and is therefore read as what it is.
func parse(text []byte, named bool) iter.Seq2[tree, error] {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	begin := bytes.TrimLeft(text, " \t\r\n")
	if len(begin) > 0 && (begin[0] == '{' || begin[0] == '[') && (named || json.Valid(text)) {
		return parseJSON(text)
	}
	return parseYAML(text)
}

func parseJSON(text []byte) iter.Seq2[tree, error] {
	return func(yield func(tree, error) bool) {
		decoder := json.NewDecoder(bytes.NewReader(text))
		for {
			var raw json.RawMessage
			err := decoder.Decode(&raw)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				err = fmt.Errorf("json: line %d: %w", lineOf(err, text), err)
			}
			if !yield(jsonTree(raw), err) || err != nil {
				return
			}
		}
	}
}

// lineOf returns the line of a syntax error; the other there is, an end too early, is at the end.
func lineOf(err error, text []byte) int {
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) && syntax.Offset <= int64(len(text)) {
		text = text[:syntax.Offset]
	}
	return 1 + bytes.Count(text, []byte("\n"))
}

func parseYAML(text []byte) iter.Seq2[tree, error] {
	return func(yield func(tree, error) bool) {
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		for {
			var doc yaml.Node
			err := decoder.Decode(&doc)
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(nil, err)
				return
			case len(doc.Content) == 0 || doc.Content[0].Tag == "!!null":
				continue // nothing between two separators
			}
			if !yield(yamlTree{resolve(doc.Content[0])}, nil) {
				return
			}
		}
	}
}

type jsonTree json.RawMessage

func (t jsonTree) Decode(into any) error { return json.Unmarshal(t, into) }

func (t jsonTree) list() ([]tree, bool) {
	var raw []json.RawMessage
	if text := bytes.TrimLeft(t, " \t\r\n"); len(text) == 0 || text[0] != '[' || json.Unmarshal(t, &raw) != nil {
		return nil, false
	}
	elements := make([]tree, len(raw))
	for i := range raw {
		elements[i] = jsonTree(raw[i])
	}
	return elements, true
}

// head stops as soon as it knows, which in what kubectl writes is at once.
func (t jsonTree) head() (apiVersion, kind string, items []tree) {
	decoder := json.NewDecoder(bytes.NewReader(t))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return "", "", nil
	}
	for decoder.More() && (apiVersion == "" || kind == "" || strings.HasSuffix(kind, "List")) {
		key, err := decoder.Token()
		if err != nil {
			break
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			break
		}
		switch key {
		case "apiVersion":
			apiVersion = text(value)
		case "kind":
			kind = text(value)
		case "items":
			items, _ = jsonTree(value).list()
		}
	}
	return apiVersion, kind, items
}

// text returns a JSON value that is a text, and "" for everything else.
func text(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return ""
	}
	return text
}

type yamlTree struct{ *yaml.Node }

// resolve follows an alias. What it stands for cannot be one itself.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// Decode bounds what the decoder does not: it compares each key of a mapping with every other. Aliases without end it
// refuses by itself.
func (t yamlTree) Decode(into any) error {
	if err := checkKeys(t.Node, map[*yaml.Node]bool{}); err != nil {
		return err
	}
	err := t.Node.Decode(into)
	if wrong := (*yaml.TypeError)(nil); errors.As(err, &wrong) {
		err = fmt.Errorf("yaml: %s", wrong.Errors[0]) // one of possibly many, each a line
	}
	return err
}

func checkKeys(n *yaml.Node, seen map[*yaml.Node]bool) error {
	if n.Kind == yaml.AliasNode {
		if seen[n.Alias] {
			return nil
		}
		seen[n.Alias] = true
		return checkKeys(n.Alias, seen)
	}
	if keys := len(n.Content) / 2; n.Kind == yaml.MappingNode && keys > maxKeys {
		return fmt.Errorf("yaml: line %d: a mapping of %d keys, more than %d", n.Line, keys, maxKeys)
	}
	for _, child := range n.Content {
		if err := checkKeys(child, seen); err != nil {
			return err
		}
	}
	return nil
}

func (t yamlTree) list() ([]tree, bool) {
	if t.Kind != yaml.SequenceNode {
		return nil, false
	}
	elements := make([]tree, len(t.Content))
	for i, n := range t.Content {
		elements[i] = yamlTree{resolve(n)}
	}
	return elements, true
}

func (t yamlTree) head() (apiVersion, kind string, items []tree) {
	if t.Kind != yaml.MappingNode {
		return "", "", nil
	}
	for i := 0; i+1 < len(t.Content); i += 2 {
		value := resolve(t.Content[i+1])
		switch t.Content[i].Value {
		case "apiVersion":
			apiVersion = word(value)
		case "kind":
			kind = word(value)
		case "items":
			items, _ = yamlTree{value}.list()
		}
	}
	return apiVersion, kind, items
}

// word returns a scalar that is a text, and "" for everything else.
func word(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return ""
	}
	return n.Value
}
