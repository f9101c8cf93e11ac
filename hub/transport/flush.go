package transport

import (
	"sync"
	"time"
)

const (
	// flushTimeout is how long a peer may take for one chunk of what is queued.
	flushTimeout = 15 * time.Second
	// flushChunk is how much of the queue the flusher writes at a time, in bytes.
	flushChunk = 16 << 10
)

// scratch holds buffers in which frames are put together for one write.
var scratch = sync.Pool{New: func() any {
	b := make([]byte, 0, flushChunk)
	return &b
}}

// flush writes the queue until it is empty. Every chunk has its own deadline,
// so that a slow peer is not cut off while it makes progress.
func (g *guard) flush() {
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	for {
		chunk := g.nextChunk((*buf)[:0])
		if chunk == nil {
			return
		}
		if _, err := g.conn.Write(chunk); err != nil {
			g.giveUp()
			return
		}
	}
}

// nextChunk moves the front of the queue into buf. nil: there is nothing more to
// do, and the flusher has ended as far as the others are concerned.
func (g *guard) nextChunk(buf []byte) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == dead {
		g.partial = false
		g.dropQueue()
	}
	for len(g.queue) > 0 && len(buf) < cap(buf) {
		front := g.queue[0]
		n := min(len(front), cap(buf)-len(buf))
		buf = append(buf, front[:n]...)
		g.release(n)
		g.partial = n < len(front)
		if g.partial {
			g.queue[0] = front[n:]
		} else {
			g.queue[0] = nil
			g.queue = g.queue[1:]
		}
	}
	if len(buf) == 0 {
		g.endFlush()
		return nil
	}
	if g.state == open {
		_ = g.conn.SetWriteDeadline(time.Now().Add(flushTimeout))
	}
	return buf
}

func (g *guard) endFlush() {
	g.flushing = false
	g.queue = nil
	if g.state == open {
		_ = g.conn.SetWriteDeadline(time.Time{})
	}
}

// giveUp is for a peer that takes nothing more, or is gone. Closing ends the
// reader too.
func (g *guard) giveUp() {
	g.mu.Lock()
	g.state = dead
	g.partial = false
	g.dropQueue()
	g.endFlush()
	g.mu.Unlock()
	_ = g.Close()
}
