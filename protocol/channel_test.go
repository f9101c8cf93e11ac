package protocol

import (
	"strings"
	"testing"
)

func TestKindOf(t *testing.T) {
	tests := []struct {
		name string
		want Kind
	}{
		{"", Public},
		{"my-channel", Public},
		{"cache-a", Cache},
		{"private-a", Private},
		{"private-cache-a", PrivateCache},
		{"private-encrypted-a", Encrypted},
		{"private-encrypted-cache-a", EncryptedCache},
		{"presence-a", Presence},
		{"presence-cache-a", PresenceCache},
		{"#server-to-user-1", ServerToUser},

		{"privatefoo", Public},
		{"private", Public},
		{"private-", Private},
		{"Private-a", Public},
		{"xprivate-y", Public},
		{"presence", Public},
		{"presencefoo", Public},
		{"x-presence-y", Public},
		{"cacheX", Public},
		{"cache", Public},
		{"cache-", Cache},
		{"my-cache-x", Public},
		{"cache-private-a", Cache},
		{"private-cachefoo", Private},
		{"private-my-cache-x", Private},
		{"private-cache-encrypted-a", PrivateCache},
		{"private-encrypted", Private},
		{"private-encryptedfoo", Private},
		{"private-encrypted-cache", Encrypted},
		{"private-encrypted-cachefoo", Encrypted},
		{"private-encrypted-cache-", EncryptedCache},
		{"private-encrypted-cache-cache-", EncryptedCache},
		{"presence-cache", Presence},
		{"presence-encrypted-a", Presence},
		{"encrypted-a", Public},
		{"#server-to-user", Public},
		{"#private-a", Public},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := KindOf(tt.name); got != tt.want {
				t.Errorf("KindOf(%q): got %s, want %s", tt.name, got, tt.want)
			}
		})
	}
}

func TestKindProperties(t *testing.T) {
	tests := []struct {
		kind                                           Kind
		auth, presence, cache, encrypted, clientEvents bool
		text                                           string
	}{
		{kind: Public, text: "public"},
		{kind: Cache, cache: true, text: "cache"},
		{kind: Private, auth: true, clientEvents: true, text: "private"},
		{kind: PrivateCache, auth: true, cache: true, clientEvents: true, text: "private-cache"},
		{kind: Encrypted, auth: true, encrypted: true, text: "private-encrypted"},
		{kind: EncryptedCache, auth: true, cache: true, encrypted: true, text: "private-encrypted-cache"},
		{kind: Presence, auth: true, presence: true, clientEvents: true, text: "presence"},
		{kind: PresenceCache, auth: true, presence: true, cache: true, clientEvents: true, text: "presence-cache"},
		{kind: ServerToUser, text: "server-to-user"},
		{kind: ServerToUser + 1, text: "unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			k := tt.kind
			got := []bool{k.NeedsAuth(), k.IsPresence(), k.IsCache(), k.IsEncrypted(), k.AllowsClientEvents()}
			want := []bool{tt.auth, tt.presence, tt.cache, tt.encrypted, tt.clientEvents}
			for i, what := range []string{"NeedsAuth", "IsPresence", "IsCache", "IsEncrypted", "AllowsClientEvents"} {
				if got[i] != want[i] {
					t.Errorf("%s of %s: got %t, want %t", what, k, got[i], want[i])
				}
			}
			if k.String() != tt.text {
				t.Errorf("String: got %q, want %q", k, tt.text)
			}
		})
	}
}

func TestValidChannel(t *testing.T) {
	tests := []struct {
		name, channel string
		want          bool
	}{
		{"plain", "my-channel", true},
		{"every character", "AZaz09_-=@,.;", true},
		{"200 characters", strings.Repeat("a", 200), true},
		{"201 characters", strings.Repeat("a", 201), false},
		{"empty", "", false},
		{"space", "a b", false},
		{"slash", "a/b", false},
		{"colon", "a:b", false},
		{"quote", `a"b`, false},
		{"backslash", `a\b`, false},
		{"not ASCII", "café", false},
		{"NUL", "a\x00", false},
		{"newline at the end", "a\n", false},
		{"hash", "#a", false},
		{"hash inside", "a#b", false},
		{"another service channel", "#server-to-server-1", false},
		{"user", "#server-to-user-12345", true},
		{"user without id", "#server-to-user-", false},
		{"user with a free id", "#server-to-user-Zoë / 1:2#", true},
		{"user id of 200 characters", "#server-to-user-" + strings.Repeat("é", 200), true},
		{"user id of 201 characters", "#server-to-user-" + strings.Repeat("a", 201), false},
		{"user id with a control character", "#server-to-user-a\n", false},
		{"user id with DEL", "#server-to-user-a\x7f", false},
		{"user id that is no UTF-8", "#server-to-user-\xff", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ValidChannel(tt.channel); got != tt.want {
				t.Errorf("ValidChannel(%q): got %t, want %t", tt.channel, got, tt.want)
			}
		})
	}
}

func TestServerToUserID(t *testing.T) {
	if id, ok := ServerToUserID("#server-to-user-12345"); id != "12345" || !ok {
		t.Errorf("ServerToUserID: got %q %t, want 12345 true", id, ok)
	}
	if _, ok := ServerToUserID("server-to-user-12345"); ok {
		t.Error("ServerToUserID of a channel without #: got true, want false")
	}
}

func TestValidSocketID(t *testing.T) {
	tests := []struct {
		id   string
		want bool
	}{
		{"1234.1234", true},
		{"131160.155806628", true},
		{"0.0", true},
		{"", false},
		{".", false},
		{"1.", false},
		{".1", false},
		{"123", false},
		{"1.2.3", false},
		{"1.2\n", false},
		{" 1.2", false},
		{"-1.2", false},
		{"1.a", false},
		{"١.٢", false},
		{"undefined", false},
	}
	for _, tt := range tests {
		t.Run(tt.id, func(t *testing.T) {
			if got := ValidSocketID(tt.id); got != tt.want {
				t.Errorf("ValidSocketID(%q): got %t, want %t", tt.id, got, tt.want)
			}
		})
	}
}
