//go:build !linux

package fleet

// poller reads each socket in a goroutine of its own.
type poller struct{ loop *loop }

func (p *poller) open(l *loop) error { p.loop = l; return nil }

func (p *poller) add(s *socket) error {
	p.loop.fleet.readers.Go(func() { p.loop.pull(s) })
	return nil
}

func (p *poller) remove(s *socket) { _ = s.conn.Close() } // it may be closed already

func (p *poller) close() {}

func (s *socket) write(frame []byte) { _, _ = s.conn.Write(frame) } // the server will find it out
