package protocol

import (
	"strconv"
	"strings"
)

// tokenMark stands between an app's key and a client's token. No key has it.
const tokenMark = "~"

// The length of a token, in characters.
const (
	minToken = 16
	maxToken = 64
)

// SplitKey takes what a client names as its app's key apart. A client that wants to go on
// where its last connection has ended names a token behind the key, the same each time; ""
// stands for none. The error is a Fault.
func SplitKey(named string) (key, token string, err error) {
	key, token, marked := strings.Cut(named, tokenMark)
	if !marked {
		return key, "", nil
	}
	if len(token) < minToken || len(token) > maxToken || strings.Trim(token, tokenSigns) != "" {
		return key, "", InvalidToken()
	}
	return key, token, nil
}

const tokenSigns = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

var pingEventFrame = encodeEvent(eventPing, "", emptyObject, "")

// PingEventFrame returns a pusher:ping, which pusher-js answers once it has dispatched the
// events before it. All callers share its bytes, which must not be changed.
func PingEventFrame() []byte { return pingEventFrame }

// NumberedPingFrame returns a ping frame with a number as its payload, which comes back in
// the pong.
func NumberedPingFrame(n uint32) []byte {
	payload := strconv.FormatUint(uint64(n), 10)
	return append([]byte{finPing, byte(len(payload))}, payload...)
}

// ResumedFrame tells a client that the events which it has missed on a channel follow, and
// how many of them it may have seen.
func ResumedFrame(channel string, replayed, seen int) []byte {
	data := strconv.AppendInt([]byte(`{"replayed":`), int64(replayed), 10)
	data = strconv.AppendInt(append(data, `,"possibly_seen":`...), int64(seen), 10)
	return encodeText("pusher:resumed", channel, append(data, '}'))
}

// MissedFrame tells a client that it has missed events of a channel which it cannot be
// given any more: since a time, in ms since 1970, or 0 if that is not known.
func MissedFrame(channel string, sinceMS uint64) []byte {
	data := []byte(`{"since_ms":null}`)
	if sinceMS > 0 {
		data = append(strconv.AppendUint([]byte(`{"since_ms":`), sinceMS, 10), '}')
	}
	return encodeText("pusher:missed", channel, data)
}

// BareResumedFrame is ResumedFrame without its data. The Java client decrypts whatever
// comes on an encrypted channel, but for empty data, and fails on data that is in clear.
func BareResumedFrame(channel string) []byte {
	return encodeEvent("pusher:resumed", channel, emptyObject, "")
}

// BareMissedFrame is MissedFrame without its data, for the same clients.
func BareMissedFrame(channel string) []byte {
	return encodeEvent("pusher:missed", channel, emptyObject, "")
}
