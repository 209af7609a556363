// Package demo holds the recorded cluster that `sextant demo` plays: seven minutes of a real two-node Cilium, with the
// Kubernetes objects of that cluster and the connections its clients counted themselves. README.md says what is true
// of it. It is data and refuses to be anything else.
package demo

import "embed"

// Nodes names the recording of each node's flows in Files.
var Nodes = []string{"node-1.jsonl.gz", "node-2.jsonl.gz"}

// Files are the recordings, one a node as `hubble observe -o jsonpb` printed them.
//
//go:embed node-*.jsonl.gz
var Files embed.FS

// State holds the Kubernetes objects of the cluster, as kubectl wrote them.
//
//go:embed state/*.yaml
var State embed.FS
