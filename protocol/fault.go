package protocol

import (
	"strconv"
	"unicode/utf8"
)

// Fault is an error that the server sends to a client. With a code that closes, it
// is the reason of the close as well.
type Fault struct {
	Code    Code
	Message string

	refusal refusal // of a subscribe
}

func (f Fault) Error() string { return f.Message }

// refusal is the kind of a refused subscribe; it becomes the type and the status in
// pusher_internal:subscription_error.
type refusal uint8

const (
	refusedAuth refusal = iota
	refusedRequest
	refusedLimit
)

// Bounds for the parts of a client's input that a message quotes, in bytes.
const (
	maxQuotedName   = 256
	maxQuotedSigned = 4096
)

// cut shortens s to at most limit bytes, at the boundary of a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

func cutName(s string) string { return cut(s, maxQuotedName) }

// TLSOnly refuses a connection without TLS.
func TLSOnly() Fault {
	return Fault{Code: CodeTLSOnly, Message: "Application only accepts SSL connections, reconnect using wss://"}
}

// UnknownAppKey refuses a connection whose key belongs to no app.
func UnknownAppKey(key string) Fault {
	return Fault{Code: CodeUnknownKey, Message: "App key " + cutName(key) + " not in this cluster. Did you forget to specify the cluster?"}
}

// InvalidToken refuses a connection whose token behind the key is none.
func InvalidToken() Fault {
	return Fault{Code: CodeUnknownKey, Message: "What stands behind ~ in the app key must be a token of " +
		strconv.Itoa(minToken) + " to " + strconv.Itoa(maxToken) + " letters, digits, - and _, such as crypto.randomUUID() makes"}
}

// AppDisabled refuses a connection to an app that is disabled.
func AppDisabled() Fault {
	return Fault{Code: CodeAppDisabled, Message: "Application disabled"}
}

// OverQuota refuses a connection beyond the app's max_connections.
func OverQuota() Fault {
	return Fault{Code: CodeOverQuota, Message: "Application is over connection quota"}
}

// PathNotFound refuses a connection to anything but /app/{key}.
func PathNotFound() Fault {
	return Fault{Code: CodePathNotFound, Message: "Path not found"}
}

// UnsupportedProtocol refuses a version of the protocol.
func UnsupportedProtocol() Fault {
	return Fault{Code: CodeUnsupportedProtocol, Message: "Unsupported protocol version"}
}

// NoProtocol refuses a connection that names no version of the protocol.
func NoProtocol() Fault {
	return Fault{Code: CodeNoProtocol, Message: "No protocol version supplied"}
}

// ConnectionUnauthorized closes a connection that was not authorized in time.
func ConnectionUnauthorized() Fault {
	return Fault{Code: CodeUnauthorized, Message: "Connection not authorized within timeout"}
}

// OriginNotAllowed refuses a connection from a page of another origin.
func OriginNotAllowed() Fault {
	return Fault{Code: CodeUnauthorized, Message: "Origin not allowed"}
}

// Terminated closes the connections of a user because the application asked for it.
func Terminated() Fault {
	return Fault{Code: CodeUnauthorized, Message: "You got disconnected by the app."}
}

// OverCapacity closes a connection that the node cannot serve now.
func OverCapacity() Fault {
	return Fault{Code: CodeOverCapacity, Message: "Over capacity"}
}

// Reconnect makes a client connect again, to this or another node.
func Reconnect() Fault {
	return Fault{Code: CodeReconnect, Message: "Generic reconnect immediately"}
}

// PongMissing closes a connection that sends nothing, not even a pong.
func PongMissing() Fault {
	return Fault{Code: CodePongMissing, Message: "Pong reply not received"}
}

// BinaryFrame refuses a binary message.
func BinaryFrame() Fault {
	return Fault{Message: "Binary messages are not supported"}
}

// InvalidJSON refuses a malformed message.
func InvalidJSON() Fault { return Fault{Message: "Invalid JSON"} }

// InvalidJSONBecause refuses a malformed message and says what is wrong with it.
func InvalidJSONBecause(why string) Fault {
	return Fault{Message: "Invalid JSON: " + why}
}

// MissingField refuses an event that lacks a field.
func MissingField(event, field string) Fault {
	return Fault{Message: "Missing " + field + " in " + cutName(event)}
}

// WrongType refuses an event with a field of the wrong type; want names the right
// type, such as "a string".
func WrongType(event, field, want string) Fault {
	return Fault{Message: "Invalid " + field + " in " + cutName(event) + ": it must be " + want}
}

// UnsupportedEvent refuses an event that clients may not send.
func UnsupportedEvent(event string) Fault {
	return Fault{Message: "Unsupported event received on socket: '" + cutName(event) + "'"}
}

// InvalidChannelName refuses a subscribe to an invalid name.
func InvalidChannelName(channel string) Fault {
	return Fault{Message: "Invalid channel name: " + cutName(channel), refusal: refusedRequest}
}

// ExistingSubscription refuses a second subscribe to the same channel.
func ExistingSubscription(channel string) Fault {
	return Fault{Message: "Existing subscription to channel " + cutName(channel), refusal: refusedRequest}
}

// NoSubscription refuses an unsubscribe from a channel without a subscription.
func NoSubscription(channel string) Fault {
	return Fault{Message: "No current subscription to channel " + cutName(channel) + ", or subscription in progress"}
}

// TooManySubscriptions refuses a subscribe beyond the limit of the connection.
func TooManySubscriptions(limit int) Fault {
	return Fault{
		Message: "The connection has reached its maximum number of subscriptions (" + strconv.Itoa(limit) + ")",
		refusal: refusedLimit,
	}
}

// AuthRequired refuses a subscribe without a signature.
func AuthRequired(channel string) Fault {
	return Fault{Message: "Auth info required to subscribe to " + cutName(channel)}
}

// InvalidSignature refuses a signature of anything but the text signed.
func InvalidSignature(signed, got string) Fault {
	return Fault{Message: "Invalid signature: Expected HMAC SHA256 hex digest of " +
		cut(signed, maxQuotedSigned) + ", but got " + cutName(got)}
}

// NotSignedIn refuses a subscribe to a user's own channel by anybody else.
func NotSignedIn(channel string) Fault {
	return Fault{Message: "Not signed in as the user of channel " + cutName(channel)}
}

// ChannelDataRequired refuses a subscribe to a presence channel without channel_data.
func ChannelDataRequired(channel string) Fault {
	return Fault{
		Message: cutName(channel) + " is a presence channel and subscription must include channel_data",
		refusal: refusedRequest,
	}
}

// ChannelDataTooLarge refuses channel_data of more than limit bytes.
func ChannelDataTooLarge(channel string, limit int) Fault {
	return Fault{
		Message: "The channel_data for " + cutName(channel) + " exceeds the allowed maximum (" + strconv.Itoa(limit) + " bytes)",
		refusal: refusedLimit,
	}
}

// BadChannelData refuses channel_data that is not a JSON object.
func BadChannelData() Fault {
	return Fault{Message: "channel_data supplied to presence subscription is invalid - it must be a JSON object", refusal: refusedRequest}
}

// BadUserID refuses channel_data without a user_id.
func BadUserID() Fault {
	return Fault{Message: "channel_data supplied to presence subscription is invalid - it must contain a non-empty user_id", refusal: refusedRequest}
}

// UserIDTooLong refuses a user_id of more than limit characters.
func UserIDTooLong(limit int) Fault {
	return Fault{
		Message: "user_id supplied to presence subscription is invalid - it exceeds " + strconv.Itoa(limit) + " characters",
		refusal: refusedLimit,
	}
}

// BadUserInfo refuses user_info that is not an object.
func BadUserInfo() Fault {
	return Fault{
		Message: "user_info supplied to presence subscription is invalid - if supplied it must be a type of hash",
		refusal: refusedRequest,
	}
}

// PresenceFull refuses a member beyond the limit of the channel.
func PresenceFull(channel string, limit int) Fault {
	return Fault{
		Message: "Presence channel " + cutName(channel) + " has reached its maximum number of members (" + strconv.Itoa(limit) + ")",
		refusal: refusedLimit,
	}
}

// ClientEventsDisabled refuses a client event of an app that does not allow them.
func ClientEventsDisabled() Fault {
	return Fault{Message: "To send client events, you must enable this feature in the settings of the app"}
}

// ClientEventNotSubscribed refuses a client event of a connection that is not
// subscribed to the channel.
func ClientEventNotSubscribed(channel string) Fault {
	return Fault{Message: "Client event rejected: no current subscription to channel " + cutName(channel)}
}

// ClientEventOnPublic refuses a client event on a public channel.
func ClientEventOnPublic(channel string) Fault {
	return Fault{Message: "Client event rejected: only supported on private and presence channels, not on " + cutName(channel)}
}

// ClientEventOnEncrypted refuses a client event on an encrypted channel: it would be
// relayed unencrypted.
func ClientEventOnEncrypted(channel string) Fault {
	return Fault{Message: "Client event rejected: not supported on encrypted channel " + cutName(channel)}
}

// ClientEventTooLarge refuses a client event with data of more than limit bytes.
func ClientEventTooLarge(limit int) Fault {
	return Fault{Message: "Client event rejected: the data exceeds the allowed maximum (" + strconv.Itoa(limit) + " bytes)"}
}

// ClientEventNameTooLong refuses an event name of more than limit characters.
func ClientEventNameTooLong(limit int) Fault {
	return Fault{Message: "Client event rejected: the event name exceeds " + strconv.Itoa(limit) + " characters"}
}

// ClientEventRate refuses a client event over the rate limit.
func ClientEventRate() Fault {
	return Fault{Code: CodeClientEventRate, Message: "Client event rejected due to rate limit"}
}

// InvalidUserSignature refuses a signin with a wrong signature. The connection
// stays open.
func InvalidUserSignature(signed, got string) Fault {
	f := InvalidSignature(signed, got)
	f.Code = CodeUnauthorized
	return f
}

// BadUserData refuses a signin with invalid user_data.
func BadUserData(why string) Fault {
	return Fault{Code: CodeUnauthorized, Message: "Invalid user_data: " + why}
}

// OtherUser refuses a signin of a connection that is signed in as another user.
func OtherUser() Fault {
	return Fault{Code: CodeUnauthorized, Message: "Connection is already signed in as a different user"}
}

// WatchlistLimit warns that only the first limit ids of a watchlist are used.
func WatchlistLimit(limit int) Fault {
	return Fault{
		Code:    CodeWatchlistLimit,
		Message: "Watchlist limit exceeded. Only the first " + strconv.Itoa(limit) + " user IDs are accepted.",
	}
}
