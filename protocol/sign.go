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

// ChannelStringToSign returns the text that the application signs to allow a
// subscribe. It includes the channel data, byte for byte, when there is any.
func ChannelStringToSign(socketID, channel, channelData string) string {
	if channelData == "" {
		return socketID + ":" + channel
	}
	return socketID + ":" + channel + ":" + channelData
}

// UserStringToSign returns the text that the application signs to allow a signin.
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

// checkAuth checks {key}:{signature}. got is the wrong part, for the error: the
// signature, or all of auth when the key is wrong.
func checkAuth(key, secret, auth, signed string) (got string, ok bool) {
	gotKey, signature, _ := strings.Cut(auth, ":")
	if gotKey != key {
		return auth, false
	}
	return signature, isMAC(secret, []byte(signed), signature)
}
