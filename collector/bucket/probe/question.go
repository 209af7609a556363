package probe

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sextant/collector/flow"
)

// question asks a registry once: for the manifest, for a token where it wants one, and for the manifest again. The duration
// is how long it asks not to be asked.
func (p *Probe) question(ctx context.Context, t Target, f flow.Family) (Answer, time.Duration) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	a := Answer{Service: t.Service, Node: p.node, Family: f}
	v, err := newVisit(ctx, p.cfg, t, f)
	if err != nil {
		a.Time = time.Now()
		return a.unknown(err)
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	said, err := v.manifest(ctx)
	ends := v.ends()
	a.Time, a.Local = time.Now(), ends.local
	if err != nil {
		return a.unknown(err)
	}
	if said.status == http.StatusTooManyRequests {
		return a.limited(said.header, ends)
	}
	return a.told(said, ends)
}

// reply is an answer to a HEAD, which has no body.
type reply struct {
	host   string
	status int
	header http.Header
}

// manifest asks for the manifest, with a token if the registry wants one.
func (v *visit) manifest(ctx context.Context) (reply, error) {
	said, err := v.head(ctx, "")
	if err != nil || said.status != http.StatusUnauthorized {
		return said, err
	}
	token, err := v.newToken(ctx, said.header["Www-Authenticate"])
	if err != nil {
		return reply{}, err
	}
	said, err = v.head(ctx, token)
	if err == nil && said.status == http.StatusUnauthorized {
		return reply{}, failed(Token, errors.New("the registry does not take the token of its own token service"))
	}
	return said, err
}

// manifestTypes are the media types of all that a tag can be.
var manifestTypes = strings.Join([]string{
	"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
}, ", ")

func (v *visit) head(ctx context.Context, token string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, v.registry.String(), nil)
	if err != nil {
		return reply{}, failed(Unknown, err)
	}
	req.Header.Set("Accept", manifestTypes)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := v.do(req)
	if err != nil {
		return reply{}, err
	}
	resp.Body.Close()
	return replyOf(resp), nil
}

// told takes over what a registry says that does not refuse.
func (a Answer) told(said reply, w way) (Answer, time.Duration) {
	if said.status != http.StatusOK {
		return a.unknown(said.refused(Status, a.Time))
	}
	if kind, _, _ := mime.ParseMediaType(said.header.Get("Content-Type")); kind == "text/html" {
		return a.unknown(failed(Status, errors.New("the registry answers with a page and not with a manifest")))
	}
	r, err := parseRate(said.header)
	if errors.Is(err, errSilent) {
		return a.unknown(failed(Silent, err))
	}
	if err != nil {
		return a.unknown(failed(Malformed, err))
	}
	if err := a.from(said.header, w); err != nil {
		return a.unknown(err)
	}
	a.Limit, a.Remaining, a.Window, a.Result = r.limit, r.remaining, r.window, OK
	return a, 0
}

// limited takes over what a registry says that refuses: that it does is an answer, be the rest unreadable.
func (a Answer) limited(h http.Header, w way) (Answer, time.Duration) {
	err := a.from(h, w)
	if f, ok := errors.AsType[*failure](err); ok && f.result == Account {
		f.retryAfter = retryAfter(h, a.Time)
		return a.unknown(f)
	}
	if r, err := parseRate(h); err == nil {
		a.Limit, a.Window = r.limit, r.window
	}
	a.Limited, a.Result = true, Limited
	return a, retryAfter(h, a.Time)
}

// from takes over by whom the registry counts, unless it cannot be.
func (a *Answer) from(h http.Header, w way) error {
	source, bits, err := parseSource(h)
	switch {
	case errors.Is(err, errAccount):
		return failed(Account, err)
	case err != nil:
		return failed(Malformed, err)
	case !source.IsValid():
		return nil
	}
	if err := w.checkSource(source, a.Family == flow.FamilyIPv6); err != nil {
		return failed(Impossible, err)
	}
	a.Source, a.SourceBits, a.SourceLeast, a.SourceMost = source, bits, bits, bits
	if bits == 0 {
		a.SourceLeast, a.SourceMost = bounds(source, w.local)
	}
	if a.SourceLeast == a.SourceMost {
		a.SourceBits = a.SourceLeast
	}
	return nil
}

// unknown returns what is left of an answer that is none.
func (a Answer) unknown(err error) (Answer, time.Duration) {
	a = Answer{Time: a.Time, Service: a.Service, Node: a.Node, Family: a.Family, Local: a.Local, Err: err}
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return a, 0
	}
	a.Result = f.result
	return a, f.retryAfter
}

// failure is why an answer is not known.
type failure struct {
	result     Result
	retryAfter time.Duration
	err        error
}

func failed(r Result, err error) *failure { return &failure{result: r, err: err} }

func replyOf(resp *http.Response) reply {
	return reply{resp.Request.URL.Host, resp.StatusCode, resp.Header}
}

// refused is a failure by a status that means no.
func (r reply) refused(why Result, now time.Time) *failure {
	return &failure{why, retryAfter(r.header, now), fmt.Errorf("%s answers with status %d", quote(r.host), r.status)}
}

// Error returns a text of bounded length: parts of it come from the registry.
func (f *failure) Error() string {
	const most = 300
	text := f.err.Error()
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

func (f *failure) Unwrap() error { return f.err }

// retryAfter returns how long a registry wants to be left alone, 0 when it does not say (RFC 9110 section 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, mostRetryAfter)
	}
	if t, err := http.ParseTime(text); err == nil {
		return max(0, min(t.Sub(now), mostRetryAfter))
	}
	return 0
}
