// Package testlog keeps what tests have logged.
package testlog

import (
	"bytes"
	"sync"
)

// Buffer is a log that may be read while it is written. The zero value is empty. Any
// goroutine may use it.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns what was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
