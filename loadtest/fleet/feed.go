package fleet

import (
	"channels/loadtest/wire"
	"channels/protocol"
)

// feed takes the frames from some bytes and returns how many it took. The loop's
// lock is held. An error ends the connection.
func (l *loop) feed(s *socket, data []byte, now int64) (taken int, err error) {
	s.heard = now
	for {
		f, size, err := wire.Next(data[taken:])
		if size == 0 || err != nil {
			return taken, err
		}
		taken += size
		switch {
		case f.Opcode == wire.Text && f.Final:
			l.message(s, f.Payload, now)
		case f.Opcode == wire.Text || f.Opcode == wire.Continuation:
			s.fragments = append(s.fragments, f.Payload...)
			if f.Final {
				l.message(s, s.fragments, now)
				s.fragments = nil
			}
		case f.Opcode == wire.Ping:
			s.write(wire.Append(nil, wire.Pong, f.Payload))
		case f.Opcode == wire.Close:
			s.farewell = farewell(wire.CloseCode(f.Payload))
			s.write(wire.Append(nil, wire.Close, f.Payload[:min(2, len(f.Payload))]))
		}
	}
}

// message notes a message. Those of the run carry a mark; it is looked for in the
// raw bytes, because reading each message as JSON would cost more than receiving
// it.
func (l *loop) message(s *socket, payload []byte, now int64) {
	mark, ok := l.fleet.tag.Find(payload)
	if !ok {
		l.other(s, payload)
		return
	}
	if s.sub == nil {
		return
	}
	l.events++
	l.interval.Received++
	if !l.receipts.Receive(s.sub, mark, now) || mark.Intended < l.fleet.measured.Load() {
		return
	}
	l.delivery.Record(now - mark.Intended)
	l.interval.Delivery.Record(now - mark.Intended)
	l.last = now
}

// other handles what the server says for itself.
func (l *loop) other(s *socket, payload []byte) {
	e, err := protocol.ParseEvent(payload)
	if err == nil && e.Event == eventPing {
		s.write(wire.Append(nil, wire.Text, pongMessage))
	}
}
