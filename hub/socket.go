package hub

import (
	"time"

	"channels/protocol"
)

// Backlog says how far a client is behind with reading.
type Backlog uint8

// States of a client's queue.
const (
	Clear Backlog = iota // what waits for the client is within the bounds
	Full                 // over a bound, and the client makes progress: hold back what can wait
	Stuck                // over a bound, and no progress for a while: close it as a slow consumer
)

// Socket is the transport of one client. Its methods never block and may be
// called from any goroutine.
type Socket interface {
	// Send takes whole WebSocket frames, which nobody changes afterwards, and
	// answers the Backlog after it. It never refuses: what the client does not
	// read at once is queued, also beyond the bounds, and the caller sends less
	// from then on. The slice itself is not kept, the frames may be.
	Send(frames [][]byte) Backlog

	// Backlog is the state now. It is cheap.
	Backlog() Backlog

	// Stalled is how long something has been queued for the client without the
	// client having taken any of it; 0 = nothing is queued.
	Stalled() time.Duration

	// Deflates says whether the client has negotiated permessage-deflate. It
	// does not change. Such a client gets compressed frames where they exist.
	Deflates() bool

	// Close drops what is queued but for a frame that has begun, sends f as
	// pusher:error (unless its code is below 4000) and as a close frame, and ends
	// the connection once the peer has answered or has had time to. Only the
	// first call counts. The reason is for the log.
	Close(f protocol.Fault, reason CloseReason)
}
