package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Bounds of what a token service may say. Docker's tokens have 2 to 4 kB.
const (
	mostTokenBody = 64 << 10
	mostToken     = 16 << 10
)

// newToken gets an anonymous token from the service that a registry's challenge names (distribution, "Token Authentication
// Specification"). The registry may name its own host or the one of the catalogue: it could name anything else that this
// process can reach.
func (v *visit) newToken(ctx context.Context, challenges []string) (string, error) {
	u, err := v.tokenURL(challenges)
	if err != nil {
		return "", failed(Token, fmt.Errorf("token: %w", err))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", failed(Token, fmt.Errorf("token: %w", err))
	}
	resp, err := v.do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", replyOf(resp).refused(Token, time.Now())
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostTokenBody+1))
	if err != nil {
		return "", v.explain(req, err)
	}
	token, err := parseToken(body)
	if err != nil {
		return "", failed(Token, fmt.Errorf("token: %w", err))
	}
	return token, nil
}

func (v *visit) tokenURL(challenges []string) (*url.URL, error) {
	c, err := parseChallenge(challenges)
	if err != nil {
		return nil, err
	}
	u, err := parseURL(c.realm, v.cfg.Loopback)
	if err != nil {
		return nil, fmt.Errorf("realm: %w", err)
	}
	if !sameHost(u, v.registry) && !sameHost(u, v.token) {
		return nil, fmt.Errorf("the registry sends us to %s, which is neither its own host nor the token service of the catalogue", quote(u.Host))
	}
	if c.scope == "" {
		name, err := repository(v.registry)
		if err != nil {
			return nil, err
		}
		c.scope = "repository:" + name + ":pull"
	}
	if len(c.service) > 256 || len(c.scope) > 512 {
		return nil, errors.New("the challenge has a service or scope of hundreds of characters")
	}
	q := u.Query()
	if c.service != "" {
		q.Set("service", c.service)
	}
	q.Set("scope", c.scope)
	u.RawQuery, u.Fragment = q.Encode(), ""
	return u, nil
}

// parseToken reads the answer of a token service. Its text stands in no error: it is, or may be, a secret.
func parseToken(body []byte) (string, error) {
	if len(body) > mostTokenBody {
		return "", fmt.Errorf("the answer has more than %d bytes", mostTokenBody)
	}
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return "", errors.New("the answer is not a JSON object with a token")
	}
	token := answer.Token
	if token == "" {
		token = answer.AccessToken
	}
	if token == "" || len(token) > mostToken || strings.ContainsFunc(token, notInToken) {
		return "", errors.New("the answer holds no token that could be sent") // RFC 6750 section 2.1
	}
	return token, nil
}

func notInToken(r rune) bool { return r <= ' ' || r > '~' }

// sameHost says whether two URLs lead to the same server.
func sameHost(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}
