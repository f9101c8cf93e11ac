package fleet

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"channels/loadtest/wire"
)

// Stalled is what became of connections that did not read.
type Stalled struct {
	Count  int64
	Closed int64 // by the server
}

// Add adds others.
func (s *Stalled) Add(o Stalled) {
	s.Count += o.Count
	s.Closed += o.Closed
}

// silence is how long nothing must come until a stalled connection counts as
// open.
const silence = 2 * time.Second

// Fate looks what became of the connections that never read: behind all that was
// kept for them there is a close frame, or the end, if the server closed them. It
// takes some seconds, and is for the end of a run.
func (f *Fleet) Fate() Stalled {
	f.mu.Lock()
	stalled := f.stalled
	f.mu.Unlock()
	var closed atomic.Int64
	var all sync.WaitGroup
	for _, s := range stalled {
		all.Go(func() {
			if s.wasClosed() {
				closed.Add(1)
			}
		})
	}
	all.Wait()
	return Stalled{int64(len(stalled)), closed.Load()}
}

// wasClosed reads all that is there.
func (s *socket) wasClosed() bool {
	held, chunk := s.rest, make([]byte, 64<<10)
	for {
		_ = s.conn.SetReadDeadline(time.Now().Add(silence)) // an error comes from the read too
		n, err := s.conn.Read(chunk)
		if err != nil {
			return !errors.Is(err, os.ErrDeadlineExceeded)
		}
		held = append(held, chunk[:n]...)
		for {
			frame, size, err := wire.Next(held)
			if err != nil || frame.Opcode == wire.Close && size > 0 {
				return err == nil
			}
			if size == 0 {
				break
			}
			held = held[size:]
		}
	}
}
