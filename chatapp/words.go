package chatapp

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// cleanText returns a message's text as it is stored: trimmed, of 1 to
// MaxMessage code points.
func cleanText(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", badRequest("invalid_utf8", "The text is not valid UTF-8.")
	}
	if strings.ContainsRune(text, 0) {
		return "", badRequest("text_has_nul", "The text contains the character U+0000.")
	}
	text = strings.TrimSpace(text)
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return "", badRequest("text_empty", "The message is empty.")
	case n > MaxMessage:
		return "", badRequest("text_too_long", fmt.Sprintf("The message has %d characters; at most %d are allowed.", n, MaxMessage))
	}
	return text, nil
}

// cleanName returns a name as it is shown: trimmed, of 1 to MaxName code points
// that can be seen.
func cleanName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", badRequest("invalid_utf8", "The name is not valid UTF-8.")
	}
	name = norm.NFC.String(strings.TrimSpace(name))
	n := utf8.RuneCountInString(name)
	if n == 0 || n > MaxName {
		return "", badRequest("bad_name", fmt.Sprintf("A name has 1 to %d characters.", MaxName))
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return "", badRequest("bad_name", "A name has no control characters.")
		}
	}
	return name, nil
}

// foldName gives what two names share that are the same but for case or for the
// form of their characters. It is folded here, as databases differ in that.
func foldName(name string) string {
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(name)))
}

// checkPassword says whether a password may be chosen.
func checkPassword(password string) error {
	n := utf8.RuneCountInString(password)
	if !utf8.ValidString(password) || n < MinPassword || n > MaxPassword {
		return badRequest("bad_password", fmt.Sprintf("A password has %d to %d characters.", MinPassword, MaxPassword))
	}
	return nil
}

var idForm = regexp.MustCompile(`^[a-z0-9]{1,40}$`)

// isID tells whether this can be an id. What cannot must not reach the
// database: PostgreSQL refuses text with U+0000 as an error of its own.
func isID(id string) bool { return idForm.MatchString(id) }

var clientIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func checkClientID(id string) error {
	if !clientIDForm.MatchString(id) {
		return badRequest("bad_client_id", "clientId must be 1 to 64 of the characters A-Z a-z 0-9 _ and -.")
	}
	return nil
}
