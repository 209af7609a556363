package kube_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"sextant/enrich/kube"
)

// objects reads YAML documents as Decode takes them.
func objects(t testing.TB, texts ...string) (all []kube.Object) {
	t.Helper()
	for _, text := range texts {
		for _, doc := range documents(t, text) {
			apiVersion, _ := doc["apiVersion"].(string)
			kind, _ := doc["kind"].(string)
			raw, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			o, err := kube.Decode(apiVersion, kind, raw)
			if err != nil || o == nil {
				t.Fatalf("%s: %v, %v", text, o, err)
			}
			all = append(all, o)
		}
	}
	return all
}

func documents(t testing.TB, text string) (all []map[string]any) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc map[string]any
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all = append(all, doc)
	}
}
