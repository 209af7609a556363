package hubble

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// position is where a stream begins: with flows from a time on, or with the last so many.
//
// A stream that follows and names neither begins with the newest flows and says nothing of where that was, so "now" is
// the last 1 here.
type position struct {
	since  time.Time
	number uint64
}

func (p position) String() string {
	switch {
	case !p.since.IsZero():
		return p.since.Format(time.RFC3339Nano)
	case p.number == newest.number:
		return "now"
	case p.number == 0, p.number >= wholeRing:
		return "the oldest flow in the ring"
	}
	return fmt.Sprintf("the last %d flows", p.number)
}

// request returns what is asked of every server, without a position, and all that is wrong with it.
func (c Config) request() (*observerpb.GetFlowsRequest, []problem) {
	req := &observerpb.GetFlowsRequest{Follow: true}
	var problems []problem
	req.Whitelist, problems = appendFilters(nil, problems, "allowlist", c.Allowlist)
	req.Blacklist, problems = appendFilters(nil, problems, "denylist", c.Denylist)
	if len(c.FieldMask) > 0 {
		mask, errs := fieldMask(c.FieldMask)
		req.FieldMask = mask
		problems = append(problems, errs...)
	}
	return req, problems
}

// problem is what is wrong with one key.
type problem struct {
	key string
	err error
}

func appendFilters(filters []*flowpb.FlowFilter, problems []problem, key string, texts []string) ([]*flowpb.FlowFilter, []problem) {
	for i, text := range texts {
		f := &flowpb.FlowFilter{}
		if err := protojson.Unmarshal([]byte(text), f); err != nil {
			problems = append(problems, problem{fmt.Sprintf("%s[%d]", key, i), fmt.Errorf("no FlowFilter: %w", plainProtoError(err))})
			continue
		}
		if proto.Size(f) == 0 {
			problems = append(problems, problem{fmt.Sprintf("%s[%d]", key, i), errors.New("an empty filter matches every flow")})
			continue
		}
		filters = append(filters, f)
	}
	return filters, problems
}

// plainProtoError takes away the prefix and the varying blanks that keep people from matching protobuf's errors.
func plainProtoError(err error) error {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return errors.New(strings.TrimSpace(strings.TrimPrefix(text, "proto:")))
}

// maskAlways is what every flow needs: when, where, which one; and l4 as a whole, because a mask that reaches into
// its oneof lets the agents return a protocol that the flow does not have.
var maskAlways = []string{"time", "node_name", "uuid", "l4"}

func fieldMask(paths []string) (*fieldmaskpb.FieldMask, []problem) {
	var problems []problem
	mask := &fieldmaskpb.FieldMask{Paths: slices.Clone(maskAlways)}
	for i, path := range paths {
		if err := checkPath((&flowpb.Flow{}).ProtoReflect().Descriptor(), path); err != nil {
			problems = append(problems, problem{fmt.Sprintf("field_mask[%d]", i), err})
			continue
		}
		mask.Paths = append(mask.Paths, path)
	}
	mask.Normalize()
	return mask, problems
}

// checkPath follows a path from field to field, and names the fields there are where it goes wrong.
func checkPath(md protoreflect.MessageDescriptor, path string) error {
	rest := path
	for {
		name, after, more := strings.Cut(rest, ".")
		fd := md.Fields().ByName(protoreflect.Name(name))
		switch {
		case fd == nil:
			return fmt.Errorf("%q: %s has no field %q; it has %s", path, md.Name(), name, fieldNames(md))
		case !more:
			return nil
		case fd.Message() == nil || fd.IsList() || fd.IsMap():
			return fmt.Errorf("%q: nothing can be picked from within %q", path, name)
		}
		md, rest = fd.Message(), after
	}
}

func fieldNames(md protoreflect.MessageDescriptor) string {
	var names []string
	for i := range md.Fields().Len() {
		names = append(names, string(md.Fields().Get(i).Name()))
	}
	return strings.Join(names, ", ")
}

// asks completes a request for one server.
//
// Hubble's own traffic is left out by the server where it travels over TCP, because each flow sent makes more of it: at
// aggregation none or low it would never end. A unix socket makes none, and leaving it out on our side there keeps the
// number of flows that arrive comparable with the number seen.
func asks(template *observerpb.GetFlowsRequest, from position, t target, traffic string) *observerpb.GetFlowsRequest {
	req := proto.CloneOf(template)
	if from.since.IsZero() {
		req.Number = from.number
	} else {
		req.Since = timestamppb.New(from.since)
	}
	if traffic == exclude && t.network != "unix" {
		var ports []string
		for _, p := range ownPorts {
			ports = append(ports, strconv.Itoa(int(p)))
		}
		req.Blacklist = append(req.Blacklist,
			&flowpb.FlowFilter{Protocol: []string{"tcp"}, SourcePort: ports},
			&flowpb.FlowFilter{Protocol: []string{"tcp"}, DestinationPort: ports})
	}
	return req
}

// everything says whether a request asks for all flows.
func everything(req *observerpb.GetFlowsRequest) bool {
	return len(req.GetWhitelist()) == 0 && len(req.GetBlacklist()) == 0
}
