package protocol

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

const (
	vectorKey    = "278d425bdf160c739803"
	vectorSecret = "7ad3773142a6692b25b8"
	vectorSocket = "1234.1234"
)

func TestSign(t *testing.T) {
	tests := []struct {
		name, secret, text, want string
	}{
		{"private", vectorSecret, ChannelStringToSign(vectorSocket, "private-foobar", ""),
			"58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"},
		{"presence", vectorSecret, ChannelStringToSign(vectorSocket, "presence-foobar", `{"user_id":10,"user_info":{"name":"Mr. Pusher"}}`),
			"afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c"},
		{"presence, another name", vectorSecret, ChannelStringToSign(vectorSocket, "presence-foobar", `{"user_id":10,"user_info":{"name":"Mr. Channels"}}`),
			"31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80"},
		{"user", vectorSecret, UserStringToSign(vectorSocket, `{"id":"12345"}`),
			"4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"},
		{"POST", vectorSecret, "POST\n/apps/3/events\nauth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0&body_md5=ec365a775a4cd0599faeb73354201b6f",
			"da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"},
		{"GET", "4bf35003e819bb138249", "GET\n/apps/102015/channels\nauth_key=d41a439c438a100756f5&auth_timestamp=1427034994&auth_version=1.0&filter_by_prefix=presence-&info=user_count",
			"4d8a02edcc8a758b0162cd6da690a9a45fb8ae326a276dca1e06a0bc42796c11"},
		{"webhook", "secret", `{"hello":"world"}`,
			"2677ad3e7c090b2fa2c0fb13020d66d5420879b8316eb356a2d60fb9073bc778"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Sign(tt.secret, tt.text); got != tt.want {
				t.Errorf("Sign(%q): got %s, want %s", tt.text, got, tt.want)
			}
		})
	}
}

// TestSignLengths compares with crypto/hmac around the sizes of blocks.
func TestSignLengths(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 127, 128, 129, 1000} {
		secret, text := strings.Repeat("s", n), strings.Repeat("t", n)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(text))
		if got, want := Sign(secret, text), hex.EncodeToString(mac.Sum(nil)); got != want {
			t.Errorf("secret and text of %d bytes: got %s, want %s", n, got, want)
		}
	}
}

func TestCheckChannelAuth(t *testing.T) {
	const (
		member    = `{"user_id":10,"user_info":{"name":"Mr. Pusher"}}`
		private   = "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
		presence  = "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c"
		stringFor = vectorSocket + ":private-foobar"
	)
	tests := []struct {
		name, auth, channel, data string
		want                      error
	}{
		{"private", vectorKey + ":" + private, "private-foobar", "", nil},
		{"presence", vectorKey + ":" + presence, "presence-foobar", member, nil},
		{"private with channel_data", ChannelAuth(vectorKey, vectorSecret, vectorSocket, "private-foobar", "{}"), "private-foobar", "{}", nil},
		{"wrong signature", vectorKey + ":00", "private-foobar", "", InvalidSignature(stringFor, "00")},
		{"upper case", vectorKey + ":" + strings.ToUpper(private), "private-foobar", "", InvalidSignature(stringFor, strings.ToUpper(private))},
		{"no signature", vectorKey + ":", "private-foobar", "", InvalidSignature(stringFor, "")},
		{"no key", ":" + private, "private-foobar", "", InvalidSignature(stringFor, ":"+private)},
		{"no colon", private, "private-foobar", "", InvalidSignature(stringFor, private)},
		{"another key", "other:" + private, "private-foobar", "", InvalidSignature(stringFor, "other:"+private)},
		{"more behind it", vectorKey + ":" + private + ":x", "private-foobar", "", InvalidSignature(stringFor, private+":x")},
		{"channel_data added", vectorKey + ":" + private, "private-foobar", "{}", InvalidSignature(stringFor+":{}", private)},
		{"nothing", "", "private-foobar", "", InvalidSignature(stringFor, "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := CheckChannelAuth(vectorKey, vectorSecret, tt.auth, vectorSocket, tt.channel, tt.data); err != tt.want {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestCheckUserAuth(t *testing.T) {
	const data = `{"id":"12345"}`
	good := vectorKey + ":4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"
	if got := UserAuth(vectorKey, vectorSecret, vectorSocket, data); got != good {
		t.Errorf("UserAuth: got %s, want %s", got, good)
	}
	if err := CheckUserAuth(vectorKey, vectorSecret, good, vectorSocket, data); err != nil {
		t.Errorf("good signature: %v", err)
	}
	want := InvalidUserSignature(vectorSocket+"::user::"+data, "00")
	if err := CheckUserAuth(vectorKey, vectorSecret, vectorKey+":00", vectorSocket, data); err != want {
		t.Errorf("wrong signature: got %v, want %v", err, want)
	}
	channelAuth := ChannelAuth(vectorKey, vectorSecret, vectorSocket, ":user:", data)
	if err := CheckUserAuth(vectorKey, vectorSecret, channelAuth, vectorSocket, data+"x"); err == nil {
		t.Error("signature of a channel: got no error")
	}
}
