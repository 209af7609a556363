package kubetest

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Owner is what made a pod, or made what made it.
type Owner struct {
	metav1.OwnerReference
}

// Deployment writes a Deployment that makes nothing, as do the following.
func (c *Client) Deployment(namespace, name string) *Owner {
	c.t.Helper()
	o, err := c.AppsV1().Deployments(namespace).Create(context.Background(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{Selector: selector(name), Template: template(name)},
	}, metav1.CreateOptions{})
	return c.owner("apps/v1", "Deployment", o, c.AppsV1().Deployments(namespace).Delete, err)
}

// ReplicaSet writes a ReplicaSet, of a Deployment unless owner is nil.
func (c *Client) ReplicaSet(namespace, name string, owner *Owner) *Owner {
	c.t.Helper()
	o, err := c.AppsV1().ReplicaSets(namespace).Create(context.Background(), &appsv1.ReplicaSet{
		ObjectMeta: owner.meta(name), Spec: appsv1.ReplicaSetSpec{Selector: selector(name), Template: template(name)},
	}, metav1.CreateOptions{})
	return c.owner("apps/v1", "ReplicaSet", o, c.AppsV1().ReplicaSets(namespace).Delete, err)
}

// StatefulSet writes a StatefulSet.
func (c *Client) StatefulSet(namespace, name string) *Owner {
	c.t.Helper()
	o, err := c.AppsV1().StatefulSets(namespace).Create(context.Background(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.StatefulSetSpec{Selector: selector(name), Template: template(name)},
	}, metav1.CreateOptions{})
	return c.owner("apps/v1", "StatefulSet", o, c.AppsV1().StatefulSets(namespace).Delete, err)
}

// DaemonSet writes a DaemonSet.
func (c *Client) DaemonSet(namespace, name string) *Owner {
	c.t.Helper()
	o, err := c.AppsV1().DaemonSets(namespace).Create(context.Background(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DaemonSetSpec{Selector: selector(name), Template: template(name)},
	}, metav1.CreateOptions{})
	return c.owner("apps/v1", "DaemonSet", o, c.AppsV1().DaemonSets(namespace).Delete, err)
}

// CronJob writes a CronJob.
func (c *Client) CronJob(namespace, name string) *Owner {
	c.t.Helper()
	o, err := c.BatchV1().CronJobs(namespace).Create(context.Background(), &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       batchv1.CronJobSpec{Schedule: "0 * * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: once(name)}}},
	}, metav1.CreateOptions{})
	return c.owner("batch/v1", "CronJob", o, c.BatchV1().CronJobs(namespace).Delete, err)
}

// Job writes a Job, of a CronJob unless owner is nil.
func (c *Client) Job(namespace, name string, owner *Owner) *Owner {
	c.t.Helper()
	o, err := c.BatchV1().Jobs(namespace).Create(context.Background(), &batchv1.Job{
		ObjectMeta: owner.meta(name), Spec: batchv1.JobSpec{Template: once(name)},
	}, metav1.CreateOptions{})
	return c.owner("batch/v1", "Job", o, c.BatchV1().Jobs(namespace).Delete, err)
}

func (c *Client) owner(apiVersion, kind string, o metav1.Object, del func(context.Context, string, metav1.DeleteOptions) error, err error) *Owner {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	name, controls := o.GetName(), true
	orphan := metav1.DeletePropagationOrphan // there is no collector, and a foreground deletion would wait for it
	c.t.Cleanup(func() { _ = del(context.Background(), name, metav1.DeleteOptions{PropagationPolicy: &orphan}) })
	return &Owner{metav1.OwnerReference{APIVersion: apiVersion, Kind: kind, Name: name, UID: o.GetUID(), Controller: &controls}}
}

func (o *Owner) meta(name string) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{Name: name}
	if o != nil {
		meta.OwnerReferences = []metav1.OwnerReference{o.OwnerReference}
	}
	return meta
}

func selector(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
}

func template(name string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "registry.example/web:1"}}},
	}
}

// once is a template of what ends.
func once(name string) corev1.PodTemplateSpec {
	t := template(name)
	t.Spec.RestartPolicy = corev1.RestartPolicyNever
	return t
}
