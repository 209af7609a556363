package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/alecthomas/kong"

	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
)

type explainCmd struct {
	kong.Plugins
	What []string `arg:"" name:"address" help:"Addresses, or - for flows as JSON on standard input, one a line, as hubble observe -o jsonpb prints them."`

	cfg      verdictConfig
	settings sections
}

func (cmd *explainCmd) init() {
	cmd.cfg = defaultVerdict()
	cmd.settings = sections{newSection("verdict", true, &cmd.cfg)}
	cmd.Plugins = cmd.settings.plugins()
}

// Run prints what is known of each address or flow, how, and what would make it certain.
func (cmd *explainCmd) Run(a *app) error {
	cmd.settings.apply()
	if err := cmd.cfg.Validate(); err != nil {
		return err
	}
	names := flow.NewInterner()
	judge, prefixes, err := newJudge(names, cmd.cfg, a.logger)
	if err != nil {
		return err
	}
	if err := knowState(judge, names, cmd.cfg.State); err != nil {
		return err
	}
	if err := prefixes.discoverOnce(a.ctx, cmd.cfg); err != nil {
		return err
	}
	for i, what := range cmd.What {
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		if what == "-" {
			if err := explainFlows(a, names, judge); err != nil {
				return err
			}
			continue
		}
		addr, err := netip.ParseAddr(strings.Trim(what, "[]"))
		if err != nil {
			return fmt.Errorf("%q is no address, and not - for flows on standard input", what)
		}
		explainAddress(a.stdout, judge.ExplainAddress(addr.WithZone("").Unmap()))
	}
	return nil
}

// knowState lets the judge know the cluster from a dump of its objects, where one is named.
func knowState(judge *verdict.Stage, names *flow.Interner, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	cluster, _, err := kube.LoadState(paths...)
	if err != nil {
		return fmt.Errorf("verdict.state: %w", err)
	}
	judge.SetFacts(verdict.NewFacts(names, cluster))
	return nil
}

func explainAddress(w io.Writer, v verdict.AddressVerdict) {
	fmt.Fprintln(w, v.IP)
	line(w, "kind", v.Kind.String(), v.KindMeans)
	if v.PlaceMeans != "" {
		line(w, "place", v.PlaceMeans)
	}
	if v.EmbeddedIPv4.IsValid() {
		text := v.EmbeddedIPv4.String()
		if v.Prefix.IsValid() {
			text += ", behind the NAT64 prefix " + v.Prefix.String()
		}
		line(w, "embedded IPv4", text)
	}
	explainRule(w, "class", v.Class.String(), v.Evidence, v.Rule)
}

func explainFlows(a *app, names *flow.Interner, judge *verdict.Stage) error {
	recording, err := hubble.NewRecording("standard input", io.NopCloser(a.stdin))
	if err != nil {
		return err
	}
	decoder := hubble.NewDecoder(names)
	for n := 0; ; {
		msg, err := recording.Next()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				return errors.New("standard input holds no flow: give one as hubble observe -o jsonpb prints it")
			}
			return nil
		}
		if err != nil {
			return err
		}
		var r flow.Record
		ev, err := decoder.Decode(msg.Raw, &r)
		if err != nil {
			return err
		}
		if ev.Kind != hubble.KindFlow {
			continue
		}
		if n++; n > 1 {
			fmt.Fprintln(a.stdout)
		}
		explainFlow(a.stdout, judge.ExplainRecord(r))
	}
}

func explainFlow(w io.Writer, v verdict.RecordVerdict) {
	r := &v.Record
	fmt.Fprintf(w, "%s -> %s  %s  %s %s on %s\n", end(&r.Source), end(&r.Destination), r.Protocol, r.Verdict, r.ObservationPoint, printable(r.Node.String()))
	line(w, "source", fmt.Sprintf("%s, %s", r.Source.Kind, r.Source.Side), who(&r.Source))
	line(w, "destination", fmt.Sprintf("%s, %s", r.Destination.Kind, r.Destination.Side), who(&r.Destination))
	line(w, "direction", r.Direction.String())
	if r.EmbeddedIPv4.IsValid() {
		line(w, "embedded IPv4", r.EmbeddedIPv4.String())
	}
	if r.EgressIP.IsValid() {
		line(w, "egress address", fmt.Sprintf("%s (%s)", r.EgressIP, r.EgressIPEvidence))
	}
	if r.Noise != flow.NoiseNone {
		line(w, "noise", r.Noise.String())
	}
	explainRule(w, "class", r.Class.String(), r.ClassEvidence, v.Class)
	explainRule(w, "source NAT", r.SourceNAT.String(), r.SourceNATEvidence, v.Source)
}

func explainRule(w io.Writer, what, verdict string, evidence flow.Evidence, rule verdict.Rule) {
	text := verdict
	if rule.Name != "" {
		text = fmt.Sprintf("%s, %s, by the rule %s", verdict, evidence, rule.Name)
	}
	line(w, what, text)
	line(w, "  that means", rule.Means)
	line(w, "  for certainty", rule.Certain)
	line(w, "  source", rule.Source)
}

// line prints a word and what there is to say of it, if there is anything.
func line(w io.Writer, word string, text ...string) {
	var parts []string
	for _, t := range text {
		if t != "" {
			parts = append(parts, t)
		}
	}
	if len(parts) > 0 {
		fmt.Fprintf(w, "  %-16s %s\n", word, strings.Join(parts, ": "))
	}
}

func end(e *flow.End) string {
	switch {
	case !e.IP.IsValid():
		return "(no address)"
	case e.Port == 0:
		return e.IP.String()
	}
	return netip.AddrPortFrom(e.IP, e.Port).String()
}

func who(e *flow.End) string {
	ep := e.Endpoint.Get()
	switch {
	case !ep.Pod.IsZero():
		return printable(ep.Namespace.String() + "/" + ep.Pod.String())
	case ep.Identity != 0:
		return fmt.Sprintf("identity %d", ep.Identity)
	}
	return ""
}

// printable keeps what a stranger put into a name from being a command to the terminal.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c >= 0x7f && c < 0xa0 {
			return '?'
		}
		return c
	}, s)
}
