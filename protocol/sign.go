package protocol

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// macLen is the length of a signature: SHA-256 in hexadecimal digits.
const macLen = 2 * sha256.Size

// appendMAC appends the HMAC-SHA256 of text in lower-case hexadecimal digits.
func appendMAC(dst []byte, secret string, text []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(text)
	var sum [sha256.Size]byte
	return hex.AppendEncode(dst, mac.Sum(sum[:0]))
}

// isMAC compares in constant time.
func isMAC(secret string, text []byte, signature string) bool {
	var want [macLen]byte
	return hmac.Equal(appendMAC(want[:0], secret, text), []byte(signature))
}

// Sign returns the HMAC-SHA256 of text in lower-case hexadecimal digits.
func Sign(secret, text string) string {
	return string(appendMAC(make([]byte, 0, macLen), secret, []byte(text)))
}

// SignWebhook returns the signature of a webhook's body.
func SignWebhook(secret string, body []byte) string {
	return string(appendMAC(make([]byte, 0, macLen), secret, body))
}

// ChannelStringToSign returns what the application signs to let a connection
// subscribe. The channel data counts when there is any, byte for byte.
func ChannelStringToSign(socketID, channel, channelData string) string {
	if channelData == "" {
		return socketID + ":" + channel
	}
	return socketID + ":" + channel + ":" + channelData
}

// UserStringToSign returns what the application signs to sign a user in.
func UserStringToSign(socketID, userData string) string {
	return socketID + "::user::" + userData
}

// ChannelAuth returns the auth of a subscribe, as an application's server does.
func ChannelAuth(key, secret, socketID, channel, channelData string) string {
	return key + ":" + Sign(secret, ChannelStringToSign(socketID, channel, channelData))
}

// UserAuth returns the auth of a signin, as an application's server does.
func UserAuth(key, secret, socketID, userData string) string {
	return key + ":" + Sign(secret, UserStringToSign(socketID, userData))
}

// CheckChannelAuth checks the auth of a subscribe. The error is the Fault
// InvalidSignature.
func CheckChannelAuth(key, secret, auth, socketID, channel, channelData string) error {
	signed := ChannelStringToSign(socketID, channel, channelData)
	if got, ok := checkAuth(key, secret, auth, signed); !ok {
		return InvalidSignature(signed, got)
	}
	return nil
}

// CheckUserAuth checks the auth of a signin. The error is the Fault
// InvalidUserSignature.
func CheckUserAuth(key, secret, auth, socketID, userData string) error {
	signed := UserStringToSign(socketID, userData)
	if got, ok := checkAuth(key, secret, auth, signed); !ok {
		return InvalidUserSignature(signed, got)
	}
	return nil
}

// checkAuth checks {key}:{signature}, and returns what to show of it when it is
// wrong: the signature alone when only that is.
func checkAuth(key, secret, auth, signed string) (got string, ok bool) {
	gotKey, signature, _ := strings.Cut(auth, ":")
	if gotKey != key {
		return auth, false
	}
	return signature, isMAC(secret, []byte(signed), signature)
}
