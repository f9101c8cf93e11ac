package protocol

import (
	"strconv"
	"unicode/utf8"
)

// Servers send whole WebSocket frames, encoded once and shared by all receivers.
// A frame's size is known before its bytes are written, so that it is allocated
// once. Its data is a JSON string (but for pusher:error): swift stops at
// anything else.

// Pieces of an event, in the order of the hosted service.
const (
	eventPart   = `{"event":`
	channelPart = `,"channel":`
	dataPart    = `,"data":`
	userIDPart  = `,"user_id":`
)

// emptyObject is the data of events that have nothing to tell. Java takes the
// acknowledgement of an encrypted channel for encrypted if it is anything else.
const emptyObject = `"{}"`

// EventFrame encodes an event. Its data is a JSON value, which goes out as it
// is; nil stands for an empty object in a string. An empty channel or user id is
// left out.
func EventFrame(event, channel string, data []byte, userID string) []byte {
	if len(data) == 0 {
		return encodeEvent(event, channel, emptyObject, userID)
	}
	return encodeEvent(event, channel, data, userID)
}

func encodeEvent[T string | []byte](event, channel string, data T, userID string) []byte {
	n := envelopeLen(event, channel) + len(data) + 1
	if userID != "" {
		n += len(userIDPart) + quotedLen(userID)
	}
	frame := appendEnvelope(newFrame(n), event, channel)
	frame = append(frame, data...)
	if userID != "" {
		frame = appendQuoted(append(frame, userIDPart...), userID)
	}
	return append(frame, '}')
}

// encodeText encodes an event whose data is a string that holds text.
func encodeText(event, channel string, text []byte) []byte {
	n := envelopeLen(event, channel) + quotedLen(text) + 1
	frame := appendEnvelope(newFrame(n), event, channel)
	return append(appendQuoted(frame, text), '}')
}

// newFrame begins a text frame with a payload of n bytes.
func newFrame(n int) []byte {
	return appendTextHeader(make([]byte, 0, headerLen(n)+n), n)
}

func envelopeLen(event, channel string) int {
	n := len(eventPart) + quotedLen(event) + len(dataPart)
	if channel != "" {
		n += len(channelPart) + quotedLen(channel)
	}
	return n
}

// appendEnvelope appends all that comes before an event's data.
func appendEnvelope(dst []byte, event, channel string) []byte {
	dst = appendQuoted(append(dst, eventPart...), event)
	if channel != "" {
		dst = appendQuoted(append(dst, channelPart...), channel)
	}
	return append(dst, dataPart...)
}

// ErrorFrame encodes pusher:error, the one event whose data is an object.
func ErrorFrame(f Fault) []byte {
	var scratch [256]byte
	data := append(scratch[:0], `{"code":`...)
	if f.Code == NoCode {
		data = append(data, "null"...)
	} else {
		data = strconv.AppendInt(data, int64(f.Code), 10)
	}
	data = appendQuoted(append(data, `,"message":`...), f.Message)
	return encodeEvent("pusher:error", "", append(data, '}'), "")
}

// EstablishedFrame encodes the first event of a connection. The timeout is in
// seconds; pusher-js refuses to connect when it is 0.
func EstablishedFrame(socketID string, activityTimeout int) []byte {
	var scratch [128]byte
	data := appendQuoted(append(scratch[:0], `{"socket_id":`...), socketID)
	data = strconv.AppendInt(append(data, `,"activity_timeout":`...), int64(activityTimeout), 10)
	return encodeText("pusher:connection_established", "", append(data, '}'))
}

var pongFrame = encodeEvent(eventPong, "", emptyObject, "")

// PongFrame returns the answer to pusher:ping. All callers share its bytes, which
// must not be changed.
func PongFrame() []byte { return pongFrame }

// SucceededFrame acknowledges a subscribe. A presence channel's members come from
// AppendRoster; nil stands for none.
func SucceededFrame(channel string, presence []byte) []byte {
	const event = "pusher_internal:subscription_succeeded"
	if presence == nil {
		return encodeEvent(event, channel, emptyObject, "")
	}
	return encodeText(event, channel, presence)
}

// CacheMissFrame tells a new subscriber that a cache channel has no last event.
func CacheMissFrame(channel string) []byte {
	return encodeEvent("pusher:cache_miss", channel, emptyObject, "")
}

// MemberAddedFrame tells who has joined. Without info there is no user_info.
func MemberAddedFrame(channel, userID string, info []byte) []byte {
	var scratch [512]byte
	data := appendQuoted(append(scratch[:0], `{"user_id":`...), userID)
	if len(info) > 0 {
		data = append(append(data, `,"user_info":`...), info...)
	}
	return encodeText("pusher_internal:member_added", channel, append(data, '}'))
}

// MemberRemovedFrame tells who has left.
func MemberRemovedFrame(channel, userID string) []byte {
	var scratch [256]byte
	data := appendQuoted(append(scratch[:0], `{"user_id":`...), userID)
	return encodeText("pusher_internal:member_removed", channel, append(data, '}'))
}

// SubscriptionErrorFrame tells of a refused subscribe, after pusher:error: it
// releases the SDKs that wait for an answer per channel.
func SubscriptionErrorFrame(channel string, f Fault) []byte {
	kind, status := "AuthError", 401
	switch f.refusal {
	case refusedRequest:
		kind, status = "RequestError", 400
	case refusedLimit:
		kind, status = "LimitReached", int(CodeOverCapacity)
	}
	var scratch [512]byte
	data := appendQuoted(append(scratch[:0], `{"type":`...), kind)
	data = appendQuoted(append(data, `,"error":`...), f.Message)
	data = strconv.AppendInt(append(data, `,"status":`...), int64(status), 10)
	return encodeText("pusher_internal:subscription_error", channel, append(data, '}'))
}

// SubscriptionCountFrame tells how many connections are subscribed.
func SubscriptionCountFrame(channel string, n int) []byte {
	var scratch [64]byte
	data := strconv.AppendInt(append(scratch[:0], `{"subscription_count":`...), int64(n), 10)
	return encodeText("pusher_internal:subscription_count", channel, append(data, '}'))
}

// SigninSuccessFrame acknowledges a signin with the user_data that was signed.
func SigninSuccessFrame(userData []byte) []byte {
	data := make([]byte, 0, len(`{"user_data":}`)+quotedLen(userData))
	data = appendQuoted(append(data, `{"user_data":`...), userData)
	return encodeText("pusher:signin_success", "", append(data, '}'))
}

// WatchlistEvent tells of watched users.
type WatchlistEvent struct {
	Name    string // online or offline
	UserIDs []string
}

// WatchlistFrame encodes changes of watched users.
func WatchlistFrame(events []WatchlistEvent) []byte {
	var scratch [512]byte
	data := append(scratch[:0], `{"events":[`...)
	for i, e := range events {
		if i > 0 {
			data = append(data, ',')
		}
		data = appendQuoted(append(data, `{"name":`...), e.Name)
		data = appendStrings(append(data, `,"user_ids":`...), e.UserIDs)
		data = append(data, '}')
	}
	return encodeText("pusher_internal:watchlist_events", "", append(data, ']', '}'))
}

func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, s)
	}
	return append(dst, ']')
}

// QuoteData returns the JSON string that holds the text of a JSON value. A value
// that is a string already is returned as it is.
func QuoteData(raw []byte) []byte {
	if isString(raw) {
		return raw
	}
	return appendQuoted(make([]byte, 0, quotedLen(raw)), raw)
}

// DataLen returns how many bytes an event's data has: those of the text that a
// JSON string holds, else those of the JSON value itself.
func DataLen(raw []byte) int {
	if isString(raw) {
		return unquotedLen(raw)
	}
	return len(raw)
}

// Event is an event of a server.
type Event struct {
	Event   string
	Channel string // "" for events of the connection
	Data    []byte // a JSON value as it stands, nil when there is none
	UserID  string // who sent a client event on a presence channel
}

// ParseEvent reads an event as a client does. Its data shares the payload's
// bytes, which stay as they are. The error is a Fault.
func ParseEvent(payload []byte) (Event, error) {
	if !utf8.Valid(payload) {
		return Event{}, faultOf(errUTF8)
	}
	var e envelope
	if err := e.read(payload); err != nil {
		return Event{}, err
	}
	event := Event{Data: e.data}
	for _, field := range []struct {
		name  string
		token []byte
		to    *string
	}{{"event", e.event, &event.Event}, {"channel", e.channel, &event.Channel}, {"user_id", e.userID, &event.UserID}} {
		switch {
		case isAbsent(field.token):
		case !isString(field.token):
			return Event{}, WrongType("event", field.name, "a string")
		default:
			*field.to = string(unquoted(field.token))
		}
	}
	if isAbsent(e.event) {
		return Event{}, MissingField("message", "event")
	}
	return event, nil
}
