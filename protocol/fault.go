package protocol

import (
	"strconv"
	"unicode/utf8"
)

// Fault is an error that a client is told of. With a code that closes, it is
// the reason of the close as well.
type Fault struct {
	Code    Code
	Message string

	refusal refusal // of a subscribe
}

func (f Fault) Error() string { return f.Message }

// refusal says in pusher_internal:subscription_error what kind of refusal it is.
type refusal uint8

const (
	refusedAuth refusal = iota
	refusedRequest
	refusedLimit
)

// Longest texts of a client that go into a message, in bytes.
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

// UnknownAppKey refuses a connection to no app.
func UnknownAppKey(key string) Fault {
	return Fault{Code: CodeUnknownKey, Message: "App key " + cutName(key) + " not in this cluster. Did you forget to specify the cluster?"}
}

// AppDisabled refuses a connection to an app that is switched off.
func AppDisabled() Fault {
	return Fault{Code: CodeAppDisabled, Message: "Application disabled"}
}

// OverQuota refuses a connection beyond the app's number of connections.
func OverQuota() Fault {
	return Fault{Code: CodeOverQuota, Message: "Application is over connection quota"}
}

// PathNotFound refuses a connection to anything but /app/{key}.
func PathNotFound() Fault {
	return Fault{Code: CodePathNotFound, Message: "Path not found"}
}

// BadVersion refuses a client library's version that is none.
func BadVersion() Fault {
	return Fault{Code: CodeBadVersion, Message: "Invalid version string format"}
}

// UnsupportedProtocol refuses a version of the protocol.
func UnsupportedProtocol() Fault {
	return Fault{Code: CodeUnsupportedProtocol, Message: "Unsupported protocol version"}
}

// NoProtocol refuses a connection that names no version of the protocol.
func NoProtocol() Fault {
	return Fault{Code: CodeNoProtocol, Message: "No protocol version supplied"}
}

// ConnectionUnauthorized closes a connection that did not authorize in time.
func ConnectionUnauthorized() Fault {
	return Fault{Code: CodeUnauthorized, Message: "Connection not authorized within timeout"}
}

// OriginNotAllowed refuses a connection from a page of another origin.
func OriginNotAllowed() Fault {
	return Fault{Code: CodeUnauthorized, Message: "Origin not allowed"}
}

// Terminated closes the connections of a user on request of the application.
func Terminated() Fault {
	return Fault{Code: CodeUnauthorized, Message: "You got disconnected by the app."}
}

// OverCapacity closes what the node cannot serve now.
func OverCapacity() Fault {
	return Fault{Code: CodeOverCapacity, Message: "Over capacity"}
}

// Reconnect sends a client to another node, or to this one anew.
func Reconnect() Fault {
	return Fault{Code: CodeReconnect, Message: "Generic reconnect immediately"}
}

// PongMissing closes a connection that gives no sign of life.
func PongMissing() Fault {
	return Fault{Code: CodePongMissing, Message: "Pong reply not received"}
}

// Inactive closes a connection that has done nothing for a day.
func Inactive() Fault {
	return Fault{Code: CodeInactive, Message: "Closed after inactivity"}
}

// BinaryFrame refuses a binary message.
func BinaryFrame() Fault {
	return Fault{Message: "Binary messages are not supported"}
}

// InvalidJSON refuses a message that is malformed.
func InvalidJSON() Fault { return Fault{Message: "Invalid JSON"} }

// InvalidJSONBecause refuses a message that is malformed in a way worth saying.
func InvalidJSONBecause(why string) Fault {
	return Fault{Message: "Invalid JSON: " + why}
}

// MissingField refuses an event that lacks a field.
func MissingField(event, field string) Fault {
	return Fault{Message: "Missing " + field + " in " + cutName(event)}
}

// WrongType refuses an event with a field of the wrong type; want is the right
// one, such as "a string".
func WrongType(event, field, want string) Fault {
	return Fault{Message: "Invalid " + field + " in " + cutName(event) + ": it must be " + want}
}

// UnsupportedEvent refuses an event that clients do not send.
func UnsupportedEvent(event string) Fault {
	return Fault{Message: "Unsupported event received on socket: '" + cutName(event) + "'"}
}

// InvalidChannelName refuses to subscribe to what cannot be a channel.
func InvalidChannelName(channel string) Fault {
	return Fault{Message: "Invalid channel name: " + cutName(channel), refusal: refusedRequest}
}

// ExistingSubscription refuses to subscribe twice.
func ExistingSubscription(channel string) Fault {
	return Fault{Message: "Existing subscription to channel " + cutName(channel), refusal: refusedRequest}
}

// NoSubscription refuses to unsubscribe from what is not subscribed to.
func NoSubscription(channel string) Fault {
	return Fault{Message: "No current subscription to channel " + cutName(channel) + ", or subscription in progress"}
}

// TooManySubscriptions refuses one more subscription of a connection.
func TooManySubscriptions(limit int) Fault {
	return Fault{
		Message: "The connection has reached its maximum number of subscriptions (" + strconv.Itoa(limit) + ")",
		refusal: refusedLimit,
	}
}

// AuthRequired refuses to subscribe without a signature.
func AuthRequired(channel string) Fault {
	return Fault{Message: "Auth info required to subscribe to " + cutName(channel)}
}

// InvalidSignature refuses a signature that is not that of signed.
func InvalidSignature(signed, got string) Fault {
	return Fault{Message: "Invalid signature: Expected HMAC SHA256 hex digest of " +
		cut(signed, maxQuotedSigned) + ", but got " + cutName(got)}
}

// NotSignedIn refuses a user's own channel to anyone else.
func NotSignedIn(channel string) Fault {
	return Fault{Message: "Not signed in as the user of channel " + cutName(channel)}
}

// ChannelDataRequired refuses to join a presence channel without saying who.
func ChannelDataRequired(channel string) Fault {
	return Fault{
		Message: cutName(channel) + " is a presence channel and subscription must include channel_data",
		refusal: refusedRequest,
	}
}

// ChannelDataTooLarge refuses a member larger than limit bytes.
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

// BadUserID refuses channel_data that does not say who joins.
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

// PresenceFull refuses one member more than limit.
func PresenceFull(channel string, limit int) Fault {
	return Fault{
		Message: "Presence channel " + cutName(channel) + " has reached its maximum number of members (" + strconv.Itoa(limit) + ")",
		refusal: refusedLimit,
	}
}

// ClientEventsDisabled refuses a client event of an app that does not have them.
func ClientEventsDisabled() Fault {
	return Fault{Message: "To send client events, you must enable this feature in the settings of the app"}
}

// ClientEventNotSubscribed refuses a client event from outside the channel.
func ClientEventNotSubscribed(channel string) Fault {
	return Fault{Message: "Client event rejected: no current subscription to channel " + cutName(channel)}
}

// ClientEventOnPublic refuses a client event on a channel that anybody can join.
func ClientEventOnPublic(channel string) Fault {
	return Fault{Message: "Client event rejected: only supported on private and presence channels, not on " + cutName(channel)}
}

// ClientEventOnEncrypted refuses a client event that would go unencrypted.
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

// ClientEventRate drops a client event that comes too soon.
func ClientEventRate() Fault {
	return Fault{Code: CodeClientEventRate, Message: "Client event rejected due to rate limit"}
}

// InvalidUserSignature refuses a signin with a wrong signature. The connection
// stays.
func InvalidUserSignature(signed, got string) Fault {
	f := InvalidSignature(signed, got)
	f.Code = CodeUnauthorized
	return f
}

// BadUserData refuses a signin whose user_data is not as it must be.
func BadUserData(why string) Fault {
	return Fault{Code: CodeUnauthorized, Message: "Invalid user_data: " + why}
}

// OtherUser refuses to sign in a connection that is another user's already.
func OtherUser() Fault {
	return Fault{Code: CodeUnauthorized, Message: "Connection is already signed in as a different user"}
}

// WatchlistLimit tells that only the first limit ids of a watchlist count.
func WatchlistLimit(limit int) Fault {
	return Fault{
		Code:    CodeWatchlistLimit,
		Message: "Watchlist limit exceeded. Only the first " + strconv.Itoa(limit) + " user IDs are accepted.",
	}
}
