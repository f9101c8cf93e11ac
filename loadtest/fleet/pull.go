package fleet

// pull reads a socket in a goroutine of its own, until it ends.
func (l *loop) pull(s *socket) {
	buf := make([]byte, 4096)
	for {
		n, err := s.conn.Read(buf)
		l.mu.Lock()
		if err == nil {
			s.rest = append(s.rest, buf[:n]...)
			var taken int
			taken, err = l.feed(s, s.rest, l.fleet.clock.Now())
			s.rest = append(s.rest[:0], s.rest[taken:]...)
		}
		if err != nil {
			l.lost(s, err)
		}
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}
