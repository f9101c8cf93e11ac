package hub

import (
	"errors"

	"channels/protocol"
)

// ErrSlowConsumer is what Socket.Send answers once a client has fallen further
// behind than its queue, or the node's budget for queues, allows.
var ErrSlowConsumer = errors.New("client reads too slowly")

// Socket is the transport of one client. Its methods never block and may be
// called from any goroutine.
type Socket interface {
	// Send takes whole WebSocket frames, which nobody changes afterwards. What
	// the transport does not take at once is queued. ErrSlowConsumer: the queue
	// is over its bound and the frames were not taken; the caller closes the
	// socket. The slice itself is not kept, the frames may be.
	Send(frames [][]byte) error

	// Close drops what is queued, sends f as pusher:error (unless its code is
	// below 4000) and as a close frame, and ends the connection once the peer
	// has answered or has had time to. Only the first call counts.
	Close(f protocol.Fault)
}
