package preflight

import (
	"sextant/collector/flow"
)

// services says what of load-balancing shows.
func (c *Cluster) services() []Line {
	return c.perNode(TopicServices, "load-balancing", func(n *node) answer {
		kpr := n.Settings.KubeProxyReplacement
		switch {
		case kpr == flow.Yes && n.is("bpf-lb-sock-hostns-only", "false", true):
			return answer{
				OK, "Cilium's own, for each packet of a pod (kube-proxy replacement, bpf-lb-sock-hostns-only)",
				"Answers of a service carry its address, which tells its name and is no NAT66. A client that a node hides on the way to another's pod shows at aggregation low and none.", "",
			}
		case kpr == flow.Yes:
			return answer{
				OK, "Cilium's own, at the socket (kube-proxy replacement)",
				"Flows carry the backend's address: which service it was is inferred from the endpoints. A client that a node hides on the way to another's pod shows at aggregation low and none.", "",
			}
		case kpr == flow.No:
			how := "kube-proxy's"
			if n.is("bpf-lb-sock", "false", true) {
				how = "at the socket for pods (bpf-lb-sock), kube-proxy's for who comes from outside"
			}
			return answer{
				Note, how, "Where kube-proxy hides who comes in through a NodePort or a load-balancer behind a node's address, no flow shows it: such connections stay unknown.",
				"kubeProxyReplacement=true, or externalTrafficPolicy: Local",
			}
		}
		return answer{Unknown, "whether Cilium replaces kube-proxy is not known", "Whether a node hides clients cannot be said.", settingsTold}
	})
}

// nodeTraffic says whether the connections show that a node itself makes: pulls of images before all.
func (c *Cluster) nodeTraffic() []Line {
	const pulls = "Image pulls are known from Kubernetes events all the same, where those are watched."
	const remedy = "kubeProxyReplacement=true, bpf.masquerade=true or hostFirewall.enabled=true, any of them"
	return c.perNode(TopicNodes, "own connections", func(n *node) answer {
		s := &n.Settings
		every, known := packets(s.Aggregation)
		switch shows := s.ShowsNode(); {
		case shows == flow.Yes && tells(s) == flow.No:
			return answer{
				Warn, "do not show at aggregation " + s.Aggregation + ", though what leaves the device is watched",
				"What the node itself sends to the world is unknown, and not zero. " + pulls, remedy,
			}
		case shows == flow.Yes && s.HostFirewall == flow.Yes && !every:
			return answer{
				OK, "show, with the host firewall not always from their beginning", "Pulls of images and whatever else the node does are counted, some of them as late.", "",
			}
		case shows == flow.Yes:
			return answer{OK, "show", "Pulls of images and whatever else the node does are counted.", ""}
		case shows == flow.No && s.Aggregation == "none":
			return answer{Note, "show by their answers alone", "That the node connected to somewhere is seen; how its connections began is not. " + pulls, remedy}
		case shows == flow.No && !known:
			return answer{Warn, "do not show, or by their answers alone", "What the node itself sends to the world is unknown, and not zero. " + pulls, remedy}
		case shows == flow.No:
			return answer{
				Warn, "do not show: nothing watches what leaves the device", "What the node itself sends to the world is unknown, and not zero; a gap says so all the time. " + pulls, remedy,
			}
		}
		return answer{Unknown, "whether they show is not known", pulls, settingsTold}
	})
}
