package live

import (
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"

	"sextant/enrich/kube"
)

// dialTimeout is how long a connection may take, and how often it is probed; client-go's own are the same.
const dialTimeout = 30 * time.Second

// client asks one API server. Of Kubernetes' API groups it knows those that are read and no others: client-go's own client
// for all of them would be the largest part of this program.
type client struct {
	groups   map[schema.GroupVersion]rest.Interface
	metadata metadata.Interface
	pod      func(*corev1.Pod) (kube.Object, error)
	close    func()
}

// connect makes a client. Nothing is sent yet.
func (w *Watcher) connect() (*client, error) {
	cfg, err := w.cfg.load()
	if err != nil {
		return nil, err
	}
	cfg.UserAgent = "sextant"
	cfg.QPS = -1 // watches keep their own pauses, lookups their own rate
	cfg.WarningHandlerWithContext = &warnings{logger: w.logger, count: w.metrics.warnings, said: map[string]struct{}{}}
	unusable := func(err error) error {
		return fmt.Errorf("kubernetes.kubeconfig: %s: %w", w.cfg.source(), err)
	}
	dialer := connrotation.NewDialer((&net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout}).DialContext)
	cfg.Dial = dialer.DialContext
	http, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, unusable(err)
	}
	c := &client{groups: map[schema.GroupVersion]rest.Interface{}, pod: podOf(w.cfg)}
	c.close = func() {
		utilnet.CloseIdleConnectionsFor(http.Transport)
		dialer.CloseAll() // those, too, whose streams are only just ending: the transport keeps them open for a while
	}
	if c.metadata, err = metadata.NewForConfigAndClient(cfg, http); err != nil {
		return nil, unusable(err)
	}
	codecs := serializer.NewCodecFactory(newScheme()).WithoutConversion()
	for _, each := range []struct {
		version      schema.GroupVersion
		types, other string
	}{
		{corev1.SchemeGroupVersion, runtime.ContentTypeProtobuf, "," + runtime.ContentTypeJSON},
		{discoveryv1.SchemeGroupVersion, runtime.ContentTypeProtobuf, "," + runtime.ContentTypeJSON},
		{networkingv1.SchemeGroupVersion, runtime.ContentTypeProtobuf, "," + runtime.ContentTypeJSON},
		{schema.GroupVersion{Group: ciliumGroup, Version: "v2"}, runtime.ContentTypeJSON, ""},
		{schema.GroupVersion{Group: ciliumGroup, Version: "v2alpha1"}, runtime.ContentTypeJSON, ""},
	} {
		g := rest.CopyConfig(cfg)
		g.GroupVersion, g.APIPath = &each.version, "/apis"
		if each.version.Group == "" {
			g.APIPath = "/api"
		}
		g.ContentType, g.AcceptContentTypes, g.NegotiatedSerializer = each.types, each.types+each.other, codecs
		if c.groups[each.version], err = rest.RESTClientForConfigAndClient(g, http); err != nil {
			return nil, unusable(err)
		}
	}
	return c, nil
}

// newScheme knows the types of what is read.
func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	s.AddKnownTypes(corev1.SchemeGroupVersion,
		&corev1.Pod{}, &corev1.PodList{}, &corev1.Node{}, &corev1.NodeList{}, &corev1.Namespace{}, &corev1.NamespaceList{},
		&corev1.Service{}, &corev1.ServiceList{}, &corev1.Event{}, &corev1.EventList{}, &corev1.ConfigMap{}, &corev1.ConfigMapList{})
	s.AddKnownTypes(discoveryv1.SchemeGroupVersion, &discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{})
	s.AddKnownTypes(networkingv1.SchemeGroupVersion, &networkingv1.ServiceCIDR{}, &networkingv1.ServiceCIDRList{})
	for _, version := range []string{"v2", "v2alpha1"} {
		gv := schema.GroupVersion{Group: ciliumGroup, Version: version}
		for _, r := range table(Config{}) {
			if r.group == ciliumGroup {
				s.AddKnownTypeWithName(gv.WithKind(string(r.kind)), &custom{})
				s.AddKnownTypeWithName(gv.WithKind(string(r.kind)+"List"), &customList{})
			}
		}
		metav1.AddToGroupVersion(s, gv)
	}
	for _, gv := range []schema.GroupVersion{corev1.SchemeGroupVersion, discoveryv1.SchemeGroupVersion, networkingv1.SchemeGroupVersion} {
		metav1.AddToGroupVersion(s, gv)
	}
	return s
}
