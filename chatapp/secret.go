package chatapp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// newID returns an id that nobody guesses and that no other has: 26 of the
// characters a-z and 2-7.
func newID() string { return strings.ToLower(rand.Text()) }

// newToken returns a secret for whoever holds it, and what is stored of it.
func newToken() (token, hash string) {
	token = rand.Text() + rand.Text()
	return token, hashToken(token)
}

// hashToken is what is stored of a token. The tokens are random, so that a fast
// hash serves.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
