package protocol

// Code is the number of an error, in a pusher:error event and as the code of a close
// frame. What clients do depends on its range alone.
type Code int

// The codes of the protocol. pusher-js does not reconnect after 4000-4099 (except
// after 4000) and from 4300 on; it waits a second after 4100-4199 and reconnects at
// once after 4200-4299.
const (
	// NoCode is null on the wire: an error that concerns one command. The
	// connection stays open.
	NoCode Code = 0

	// CodeTLSOnly: "Application only accepts SSL connections, reconnect using
	// wss://". pusher-js switches to TLS and connects at once.
	CodeTLSOnly Code = 4000
	// CodeUnknownKey: "App key … not in this cluster. Did you forget to specify
	// the cluster?". Clients give up.
	CodeUnknownKey Code = 4001
	// CodeAppDisabled: "Application disabled". Clients give up.
	CodeAppDisabled Code = 4003
	// CodeOverQuota: "Application is over connection quota". Clients give up.
	CodeOverQuota Code = 4004
	// CodePathNotFound: "Path not found". Clients give up.
	CodePathNotFound Code = 4005
	// CodeUnsupportedProtocol: "Unsupported protocol version". Clients give up.
	CodeUnsupportedProtocol Code = 4007
	// CodeNoProtocol: "No protocol version supplied". Clients give up.
	CodeNoProtocol Code = 4008
	// CodeUnauthorized: "Connection is unauthorized", or a text that says why.
	// As the code of a close, clients give up.
	CodeUnauthorized Code = 4009

	// CodeOverCapacity: "Over capacity". Clients wait, then reconnect.
	CodeOverCapacity Code = 4100

	// CodeReconnect: "Generic reconnect immediately". Clients do.
	CodeReconnect Code = 4200
	// CodePongMissing: "Pong reply not received". Clients reconnect at once.
	CodePongMissing Code = 4201

	// CodeClientEventRate: "Client event rejected due to rate limit". The event
	// is dropped; never the code of a close.
	CodeClientEventRate Code = 4301
	// CodeWatchlistLimit: "Watchlist limit exceeded. Only the first … user IDs
	// are accepted.". The signin stands; never the code of a close.
	CodeWatchlistLimit Code = 4302
)

// Codes of the WebSocket protocol itself. pusher-js reconnects after a second.
const (
	// CodeProtocolError closes over a frame that breaks RFC 6455.
	CodeProtocolError Code = 1002
	// CodeUnsupportedData closes over a binary message.
	CodeUnsupportedData Code = 1003
	// CodeInvalidPayload closes over text that is not UTF-8.
	CodeInvalidPayload Code = 1007
	// CodeTooBig closes over a message larger than the read limit.
	CodeTooBig Code = 1009
)
