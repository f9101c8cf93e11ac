package protocol

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFaults(t *testing.T) {
	tests := []struct {
		fault Fault
		code  Code
		want  string
	}{
		{TLSOnly(), 4000, "Application only accepts SSL connections, reconnect using wss://"},
		{UnknownAppKey("23919cee3b1111731271"), 4001, "App key 23919cee3b1111731271 not in this cluster. Did you forget to specify the cluster?"},
		{AppDisabled(), 4003, "Application disabled"},
		{OverQuota(), 4004, "Application is over connection quota"},
		{PathNotFound(), 4005, "Path not found"},
		{UnsupportedProtocol(), 4007, "Unsupported protocol version"},
		{NoProtocol(), 4008, "No protocol version supplied"},
		{ConnectionUnauthorized(), 4009, "Connection not authorized within timeout"},
		{OriginNotAllowed(), 4009, "Origin not allowed"},
		{Terminated(), 4009, "You got disconnected by the app."},
		{OverCapacity(), 4100, "Over capacity"},
		{Reconnect(), 4200, "Generic reconnect immediately"},
		{PongMissing(), 4201, "Pong reply not received"},
		{ClientEventRate(), 4301, "Client event rejected due to rate limit"},
		{WatchlistLimit(100), 4302, "Watchlist limit exceeded. Only the first 100 user IDs are accepted."},
		{BinaryFrame(), 0, "Binary messages are not supported"},
		{InvalidJSON(), 0, "Invalid JSON"},
		{InvalidJSONBecause("why"), 0, "Invalid JSON: why"},
		{UnsupportedEvent("x"), 0, "Unsupported event received on socket: 'x'"},
		{ExistingSubscription("a"), 0, "Existing subscription to channel a"},
		{NoSubscription("a"), 0, "No current subscription to channel a, or subscription in progress"},
		{AuthRequired("private-a"), 0, "Auth info required to subscribe to private-a"},
		{InvalidSignature("1.1:private-a", "00"), 0, "Invalid signature: Expected HMAC SHA256 hex digest of 1.1:private-a, but got 00"},
		{ChannelDataRequired("presence-channel"), 0, "presence-channel is a presence channel and subscription must include channel_data"},
		{BadUserInfo(), 0, "user_info supplied to presence subscription is invalid - if supplied it must be a type of hash"},
		{InvalidChannelName("a b"), 0, "Invalid channel name: a b"},
		{PresenceFull("presence-a", 100), 0, "Presence channel presence-a has reached its maximum number of members (100)"},
		{InvalidUserSignature("1.1::user::{}", "00"), 4009, "Invalid signature: Expected HMAC SHA256 hex digest of 1.1::user::{}, but got 00"},
		{BadUserData("why"), 4009, "Invalid user_data: why"},
		{OtherUser(), 4009, "Connection is already signed in as a different user"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			if tt.fault.Code != tt.code || tt.fault.Message != tt.want {
				t.Errorf("got %d %q, want %d", tt.fault.Code, tt.fault.Message, tt.code)
			}
			var f Fault
			if err := fmt.Errorf("wrapped: %w", tt.fault); !errors.As(err, &f) || f != tt.fault {
				t.Errorf("as an error: got %v, want %v", f, tt.fault)
			}
		})
	}
}

// TestFaultsAreBounded lets clients not choose how much we send back.
func TestFaultsAreBounded(t *testing.T) {
	long := "ab" + strings.Repeat("é", 100_000)
	faults := map[string]Fault{
		"UnknownAppKey":            UnknownAppKey(long),
		"MissingField":             MissingField(long, "channel"),
		"WrongType":                WrongType(long, "channel", "a string"),
		"UnsupportedEvent":         UnsupportedEvent(long),
		"InvalidChannelName":       InvalidChannelName(long),
		"ExistingSubscription":     ExistingSubscription(long),
		"NoSubscription":           NoSubscription(long),
		"AuthRequired":             AuthRequired(long),
		"NotSignedIn":              NotSignedIn(long),
		"InvalidSignature":         InvalidSignature(long, long),
		"InvalidUserSignature":     InvalidUserSignature(long, long),
		"ChannelDataRequired":      ChannelDataRequired(long),
		"ChannelDataTooLarge":      ChannelDataTooLarge(long, 1024),
		"PresenceFull":             PresenceFull(long, 100),
		"ClientEventNotSubscribed": ClientEventNotSubscribed(long),
		"ClientEventOnPublic":      ClientEventOnPublic(long),
		"ClientEventOnEncrypted":   ClientEventOnEncrypted(long),
	}
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			if n := len(f.Message); n > maxQuotedSigned+2*maxQuotedName {
				t.Errorf("message has %d bytes", n)
			}
			if !utf8.ValidString(f.Message) {
				t.Error("message is cut within a character")
			}
			if !strings.Contains(f.Message, "abé") {
				t.Errorf("message %q does not show what it is about", f.Message)
			}
		})
	}
}

func TestCut(t *testing.T) {
	tests := []struct {
		s     string
		limit int
		want  string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "abc"},
		{"aé", 2, "a"},
		{"aé", 3, "aé"},
		{"😀", 3, ""},
		{"\x80\x80\x80", 2, ""},
	}
	for _, tt := range tests {
		if got := cut(tt.s, tt.limit); got != tt.want {
			t.Errorf("cut(%q, %d): got %q, want %q", tt.s, tt.limit, got, tt.want)
		}
	}
}
