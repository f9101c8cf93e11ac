package hub

import (
	"bytes"
	"sync"
	"sync/atomic"

	"channels/protocol"
)

// twin is the compressed form of an event's frame, for the sockets that have
// negotiated that. All workers of the node share it; the first that needs it
// makes it, and holds no other lock meanwhile.
type twin struct {
	once  sync.Once
	frame []byte
}

// of returns the twin of a frame, or the frame itself where compressing does not
// pay.
func (t *twin) of(frame []byte) []byte {
	t.once.Do(func() { t.frame = protocol.DeflateFrame(frame) })
	if t.frame == nil {
		return frame
	}
	return t.frame
}

// compresses says whether frames of the size are compressed for the app.
func (a *App) compresses(size int) bool {
	return a.CompressionMin > 0 && size >= a.CompressionMin
}

// cachedTwin is the twin of a channel's cached event, as the last subscriber that
// needed it had it made.
type cachedTwin struct {
	frame []byte
	twin  twin
}

// cachedFor returns the cached event's frame as the connection can read it.
func (ch *channel) cachedFor(c *Conn, frame []byte) []byte {
	if !c.deflates || !c.app().compresses(len(frame)) {
		return frame
	}
	made := ch.cached.Load()
	if made == nil || !bytes.Equal(made.frame, frame) {
		made = &cachedTwin{frame: frame}
		ch.cached.Store(made)
	}
	return made.twin.of(frame)
}

// twinPointer is where a channel keeps a cachedTwin.
type twinPointer = atomic.Pointer[cachedTwin]
