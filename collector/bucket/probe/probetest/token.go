package probetest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

const service = "registry.probetest"

// challenge sends a client that has no token to the token service.
func (r *Registry) challenge(w http.ResponseWriter, req *http.Request, lies Lies) {
	host := or(r.cfg.TokenHost, req.Host)
	text := fmt.Sprintf(`Bearer realm="%s",service="%s"`, or(lies.Realm, r.URL(host, TokenPath)), service)
	if name, _, found := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/"), "/manifests/"); found {
		text += fmt.Sprintf(`,scope="repository:%s:pull"`, name)
	}
	w.Header().Set("WWW-Authenticate", or(lies.Challenge, text))
	http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
}

// issue gives whoever asks an anonymous token.
func (r *Registry) issue(w http.ResponseWriter, req *http.Request) {
	if q := req.URL.Query(); req.Method != http.MethodGet || q.Get("service") != service || !strings.HasSuffix(q.Get("scope"), ":pull") {
		http.Error(w, "no such service or scope", http.StatusBadRequest)
		return
	}
	token := rand.Text()
	r.mu.Lock()
	if len(r.tokens) >= mostTokens {
		clear(r.tokens)
	}
	r.tokens[token] = true
	r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "access_token": token, "expires_in": 300}) // or the client is gone
}

func bearerOf(req *http.Request) string {
	token, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	return token
}

func (r *Registry) isIssued(token string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tokens[token]
}
