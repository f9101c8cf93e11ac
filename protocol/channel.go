package protocol

import (
	"strings"
	"unicode/utf8"
)

// Kind is what a channel's name says about the channel.
type Kind uint8

// The kinds of channels.
const (
	Public Kind = iota
	Cache
	Private
	PrivateCache
	Encrypted
	EncryptedCache
	Presence
	PresenceCache
	ServerToUser // one user's own channel, open to that signed-in user alone
)

// MaxChannelName is the longest name of a channel, in bytes. The hosted service
// documents 164, its SDKs check 200.
const MaxChannelName = 200

// maxUserID is the longest user id in a server-to-user channel, in characters.
const maxUserID = 200

const serverToUser = "#server-to-user-"

// KindOf returns the kind of the channel with that name. The longest prefix
// decides; a prefix counts only with its dash.
func KindOf(name string) Kind {
	if rest, ok := strings.CutPrefix(name, "private-"); ok {
		if rest, ok := strings.CutPrefix(rest, "encrypted-"); ok {
			return orCache(rest, Encrypted, EncryptedCache)
		}
		return orCache(rest, Private, PrivateCache)
	}
	if rest, ok := strings.CutPrefix(name, "presence-"); ok {
		return orCache(rest, Presence, PresenceCache)
	}
	if strings.HasPrefix(name, serverToUser) {
		return ServerToUser
	}
	return orCache(name, Public, Cache)
}

func orCache(rest string, plain, cache Kind) Kind {
	if strings.HasPrefix(rest, "cache-") {
		return cache
	}
	return plain
}

// NeedsAuth reports whether a subscribe must be signed by the application.
func (k Kind) NeedsAuth() bool { return k >= Private && k <= PresenceCache }

// IsPresence reports whether the channel has members.
func (k Kind) IsPresence() bool { return k == Presence || k == PresenceCache }

// IsCache reports whether the channel keeps its last event.
func (k Kind) IsCache() bool {
	return k == Cache || k == PrivateCache || k == EncryptedCache || k == PresenceCache
}

// IsEncrypted reports whether the data of the channel's events is encrypted
// from end to end.
func (k Kind) IsEncrypted() bool { return k == Encrypted || k == EncryptedCache }

// AllowsClientEvents reports whether clients may send events to each other.
func (k Kind) AllowsClientEvents() bool {
	return k == Private || k == PrivateCache || k.IsPresence()
}

func (k Kind) String() string {
	switch k {
	case Public:
		return "public"
	case Cache:
		return "cache"
	case Private:
		return "private"
	case PrivateCache:
		return "private-cache"
	case Encrypted:
		return "private-encrypted"
	case EncryptedCache:
		return "private-encrypted-cache"
	case Presence:
		return "presence"
	case PresenceCache:
		return "presence-cache"
	case ServerToUser:
		return "server-to-user"
	}
	return "unknown"
}

// ValidChannel reports whether name may be the name of a channel. Names with a
// '#' belong to the service, which has one: #server-to-user-{id}.
func ValidChannel(name string) bool {
	if id, ok := ServerToUserID(name); ok {
		return validUserID(id)
	}
	if name == "" || len(name) > MaxChannelName {
		return false
	}
	for i := range len(name) {
		if !isChannelByte(name[i]) {
			return false
		}
	}
	return true
}

func isChannelByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	switch c {
	case '_', '-', '=', '@', ',', '.', ';':
		return true
	}
	return false
}

// validUserID accepts what SDKs let through, which check the length only.
// Control characters are refused: no real id has them.
func validUserID(id string) bool {
	if id == "" || len(id) > maxUserID*utf8.UTFMax || !utf8.ValidString(id) {
		return false
	}
	for i := range len(id) {
		if id[i] < ' ' || id[i] == 0x7f {
			return false
		}
	}
	return utf8.RuneCountInString(id) <= maxUserID
}

// ServerToUserID returns the user whose own channel it is; false when it is
// none's.
func ServerToUserID(channel string) (id string, ok bool) {
	return strings.CutPrefix(channel, serverToUser)
}

// ValidSocketID reports whether s has the form of a socket id: digits, a dot,
// digits. Every server SDK checks it before it signs.
func ValidSocketID(s string) bool {
	before, after, ok := strings.Cut(s, ".")
	return ok && isDigits(before) && isDigits(after)
}

func isDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
