package api

import (
	"bytes"
	"sync"
)

// keptBuffer is the largest buffer that goes back into a pool, in bytes.
const keptBuffer = 64 << 10

// buffers is a pool of byte buffers.
type buffers struct{ pool sync.Pool }

func newBuffers() *buffers {
	return &buffers{sync.Pool{New: func() any { return new(bytes.Buffer) }}}
}

func (b *buffers) get() *bytes.Buffer { return b.pool.Get().(*bytes.Buffer) }

// put takes a buffer back, unless it has grown large.
func (b *buffers) put(buf *bytes.Buffer) {
	if buf.Cap() <= keptBuffer {
		buf.Reset()
		b.pool.Put(buf)
	}
}
