package kubetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes/scheme"
)

// seeders is how many pods are written at once.
const seeders = 8

// SeedPods writes many pods with their status straight into etcd, in the form in which the API server stores them, as if
// each had been created and then given its status. The API server serves, watches, changes and deletes them as its own.
// Ten thousand take seconds so, and minutes of CPU through the API. It gives them UIDs and times; the rest must be valid.
func (s *Server) SeedPods(t testing.TB, pods []*corev1.Pod) {
	t.Helper()
	encoder := scheme.Codecs.EncoderForVersion(protobuf.NewSerializer(scheme.Scheme, scheme.Scheme), schema.GroupVersion{Version: "v1"})
	etcd := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: seeders,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", s.file("etcd.sock"))
		},
	}}
	defer etcd.CloseIdleConnections()
	next := make(chan *corev1.Pod)
	var workers sync.WaitGroup
	for range seeders {
		workers.Go(func() {
			for p := range next {
				p.UID = uuid.NewUUID()
				p.CreationTimestamp = metav1.Time{Time: time.Now()}
				var value bytes.Buffer
				if err := encoder.Encode(p, &value); err != nil {
					t.Error(err)
				} else if err := put(etcd, fmt.Sprintf("/registry/pods/%s/%s", p.Namespace, p.Name), value.Bytes()); err != nil {
					t.Errorf("put %s into etcd: %v", p.Name, err)
				}
			}
		})
	}
	for _, p := range pods {
		next <- p
	}
	close(next)
	workers.Wait()
}

// put sends one key to the JSON gateway of etcd. Each must be a transaction of its own: the API server tells changes apart
// by their revision alone.
func put(etcd *http.Client, key string, value []byte) error {
	body, err := json.Marshal(map[string][]byte{"key": []byte(key), "value": value}) // as base64
	if err != nil {
		return err
	}
	answer, err := etcd.Post("http://etcd/v3/kv/put", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return err
}
