package probe

import (
	"errors"
	"strings"
)

// challenge is a registry's word about where tokens are to be had (distribution, "Token Authentication Specification").
type challenge struct{ realm, service, scope string }

// parseChallenge finds the first challenge of the scheme Bearer in the values of WWW-Authenticate, each of which is a list
// of challenges (RFC 9110 section 11.6.1).
func parseChallenge(values []string) (challenge, error) {
	for _, text := range values[:min(len(values), 8)] {
		if len(text) > 4096 {
			return challenge{}, errors.New("its challenge has more than 4096 characters")
		}
		if c, ok := bearer(text); ok {
			return c, nil
		}
	}
	return challenge{}, errors.New("it wants a login that is not a Bearer token")
}

func bearer(text string) (c challenge, found bool) {
	s := scanner(text)
	for {
		s.skip(" \t,")
		word := s.token()
		if word == "" {
			return c, found // the end, or nothing that belongs here
		}
		s.skip(" \t")
		if !s.take('=') { // the name of a scheme
			if found {
				return c, found
			}
			found = strings.EqualFold(word, "Bearer")
			continue
		}
		s.skip(" \t")
		value, ok := s.value()
		if !ok {
			return challenge{}, false
		}
		if !found {
			continue
		}
		for name, field := range map[string]*string{"realm": &c.realm, "service": &c.service, "scope": &c.scope} {
			if strings.EqualFold(word, name) && *field == "" {
				*field = value
			}
		}
	}
}

// scanner is what is left of a text.
type scanner string

func (s *scanner) skip(cut string) { *s = scanner(strings.TrimLeft(string(*s), cut)) }

func (s *scanner) take(c byte) bool {
	if len(*s) == 0 || (*s)[0] != c {
		return false
	}
	*s = (*s)[1:]
	return true
}

func (s *scanner) token() string {
	const others = "!#$%&'*+-.^_`|~/:" // the last two are no token's, but stand without quotes in the wild
	end := strings.IndexFunc(string(*s), func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(others, r))
	})
	if end < 0 {
		end = len(*s)
	}
	word := string((*s)[:end])
	*s = (*s)[end:]
	return word
}

// value reads a token or a quoted string.
func (s *scanner) value() (string, bool) {
	if !s.take('"') {
		return s.token(), true
	}
	var b strings.Builder
	for len(*s) > 0 {
		c := (*s)[0]
		*s = (*s)[1:]
		switch {
		case c == '"':
			return b.String(), true
		case c == '\\' && len(*s) > 0:
			c = (*s)[0]
			*s = (*s)[1:]
		}
		b.WriteByte(c)
	}
	return "", false
}
