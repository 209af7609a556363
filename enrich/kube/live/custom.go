package live

import (
	"bytes"
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// custom is a custom resource as the API server sent it: of what it holds, only the name is read here.
type custom struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	version, kind string // the decoder wipes those above
	raw           []byte
}

// UnmarshalJSON implements json.Unmarshaler. It keeps the text, and reads of the metadata what a reflector asks for.
func (c *custom) UnmarshalJSON(text []byte) error {
	var head struct {
		metav1.TypeMeta
		Metadata struct {
			Name, Namespace, ResourceVersion string
			Annotations                      map[string]string
		}
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return err
	}
	c.TypeMeta, c.version, c.kind = head.TypeMeta, head.APIVersion, head.Kind
	c.Name, c.Namespace, c.ResourceVersion = head.Metadata.Name, head.Metadata.Namespace, head.Metadata.ResourceVersion
	c.Annotations = head.Metadata.Annotations // a bookmark says there that a list has ended
	c.raw = bytes.Clone(text)
	return nil
}

// DeepCopyObject implements runtime.Object. Nobody changes one.
func (c *custom) DeepCopyObject() runtime.Object { return c }

// customList is a list of them.
type customList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []custom `json:"items"`
}

// DeepCopyObject implements runtime.Object. Nobody changes one.
func (l *customList) DeepCopyObject() runtime.Object { return l }
