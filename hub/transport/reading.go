package transport

import (
	"bytes"
	"sync"
	"time"

	"channels/hub"
	"channels/hub/transport/poller"
	"channels/protocol"
)

// messageTimeout is how long a message may take from its first byte to its last,
// so that nobody holds buffers by sending in drops.
const messageTimeout = 30 * time.Second

// readBuffers are for sessions that are read outside the readers.
var readBuffers = sync.Pool{New: func() any {
	b := make([]byte, poller.ReadSize)
	return &b
}}

// keptInflated is the largest buffer that stays in inflated, in bytes.
const keptInflated = 64 << 10

// inflated holds buffers for messages that come compressed.
var inflated = sync.Pool{New: func() any { return new([]byte) }}

// start has the session read from now on. ahead is what has been read before.
func (s *session) start(ahead []byte) {
	if s.line.poller == nil {
		go s.run(ahead)
		return
	}
	if s.consume(ahead) {
		s.resume()
	}
}

// resume lets go of a session whose owner has handled what was read. Over TLS
// there may be more that the poller does not see.
func (s *session) resume() {
	if s.line.port == nil {
		s.park()
		return
	}
	buf := readBuffers.Get().(*[]byte)
	s.Serve(*buf)
	readBuffers.Put(buf)
}

// park leaves the session to the poller. Where that is not possible a goroutine
// reads on.
func (s *session) park() {
	s.line.Lock()
	parked := s.line.park(s)
	gone := s.line.state == closed
	s.line.Unlock()
	if !parked && !gone {
		go s.run(nil)
	}
}

// Claim implements poller.Parked.
func (s *session) Claim() bool { return s.line.claim() }

// Serve implements poller.Parked.
func (s *session) Serve(buf []byte) {
	for first, more := true, true; more; first = false {
		var n int
		var err error
		if n, more, err = s.read(buf, first); err == errWouldBlock { //nolint:errorlint // our own
			s.watch()
			break
		}
		if err != nil {
			s.finish(disconnected)
			return
		}
		if !s.consume(buf[:n]) {
			return
		}
	}
	s.park()
}

// read makes one attempt to read. What comes after the end is dropped.
func (s *session) read(buf []byte, first bool) (n int, more bool, err error) {
	s.line.Lock()
	defer s.line.Unlock()
	n, more, err = s.line.read(buf, first)
	if s.line.port != nil && s.line.Pending() > 0 { // answers of TLS itself
		s.settle(s.outbox.PutHeld(&s.line))
	}
	if n > 0 {
		n = s.heard(n)
	}
	return n, more, err
}

// heard notes a sign of life, and returns how much of n bytes is to be handled.
func (s *session) heard(n int) int {
	if s.client == nil || s.ended {
		return 0
	}
	s.client.Touch()
	return n
}

// run reads to the end of the connection, as a goroutine. It is kept shallow,
// since its stack is most of what an idle connection costs.
func (s *session) run(ahead []byte) {
	if len(ahead) > 0 && s.client != nil {
		s.consume(ahead)
	}
	if s.line.opaque {
		s.runOpaque()
		return
	}
	raw, err := s.line.rawConn()
	if err != nil {
		s.finish(disconnected)
		return
	}
	var buf *[]byte // only while there is something to read
	var n int
	var failed error
	attempt := func(uintptr) bool {
		buf = readBuffers.Get().(*[]byte)
		n, _, failed = s.read(*buf, true)
		if failed != errWouldBlock { //nolint:errorlint // our own
			return true
		}
		readBuffers.Put(buf)
		s.watch()
		return false
	}
	for {
		if err := raw.Read(attempt); err != nil || failed != nil {
			s.finish(disconnected)
			return
		}
		s.consume((*buf)[:n])
		readBuffers.Put(buf)
	}
}

// runOpaque is run for a connection whose reads block.
func (s *session) runOpaque() {
	buf := make([]byte, 4<<10)
	for {
		n, err := s.line.conn.Read(buf)
		if n > 0 {
			s.line.Lock()
			n = s.heard(n)
			s.line.Unlock()
			s.consume(buf[:n])
		}
		if err != nil {
			s.finish(disconnected)
			return
		}
	}
}

// consume handles what the client has sent. false: the session has been set
// aside, and the caller does not own it any more.
func (s *session) consume(in []byte) bool {
	if s.client == nil {
		return true
	}
	var pongs []byte // in one write
	newest := 0
	for len(in) > 0 {
		var ev protocol.FrameEvent
		ev, in = s.frames.Next(in)
		if s.timed && !s.frames.Pending() {
			s.expect(false) // the next message has its own time
		}
		switch ev.Kind {
		case protocol.FrameText, protocol.FrameBinary:
			s.sendPongs(pongs, newest) // before the answer to what came behind the pings
			pongs = nil
			wait, text := s.message(ev)
			switch {
			case wait == nil:
			case s.line.poller == nil: // a goroutine reads for this session alone
				s.waitForRoom(wait, text)
			default:
				s.setAside(wait, text, in)
				return false
			}
		case protocol.FramePing:
			newest = len(pongs)
			pongs = protocol.AppendPongFrame(pongs, ev.Data)
		case protocol.FramePong:
			s.client.Ponged(ev.Data)
		case protocol.FrameClose:
			s.closedByClient(ev.Code)
		case protocol.FrameFault:
			s.fault(ev)
		}
	}
	s.sendPongs(pongs, newest)
	s.watch()
	return true
}

func (s *session) sendPongs(pongs []byte, newest int) {
	if len(pongs) == 0 {
		return
	}
	s.line.Lock()
	defer s.line.Unlock()
	s.settle(s.outbox.SendPongs(pongs, newest, &s.line))
}

// message hands a message to the hub. With wait, the hub has no room, and text is
// a copy of the message to be handed over later.
func (s *session) message(ev protocol.FrameEvent) (wait <-chan struct{}, text []byte) {
	if ev.Compressed {
		buf := inflated.Get().(*[]byte)
		defer inflated.Put(buf)
		ev = s.frames.Inflate((*buf)[:0], ev)
		if cap(ev.Data) <= keptInflated {
			*buf = ev.Data[:0]
		}
	}
	switch ev.Kind {
	case protocol.FrameFault:
		s.fault(ev)
		return nil, nil
	case protocol.FrameBinary:
		s.frames.End() // what follows must not be answered a second time
		s.client.Fail(protocol.BinaryFrame())
		s.fail(protocol.CodeUnsupportedData, protocol.BinaryFrame().Message, hub.Unsupported)
		return nil, nil
	}
	if wait = s.client.Receive(ev.Data); wait != nil {
		text = bytes.Clone(ev.Data)
	}
	return wait, text
}

// setAside leaves a session whose worker has no room for its message, and the rest
// of what it has sent, to a goroutine. So a reader of many does not wait.
func (s *session) setAside(wait <-chan struct{}, text, rest []byte) {
	rest = bytes.Clone(rest) // the buffer is the reader's
	go func() {
		s.waitForRoom(wait, text)
		if s.consume(rest) {
			s.resume()
		}
	}()
}

// waitForRoom returns when the hub has taken the message.
func (s *session) waitForRoom(wait <-chan struct{}, text []byte) {
	for ; wait != nil; wait = s.client.Receive(text) {
		select {
		case <-wait:
		case <-time.After(time.Second): // the hub may have closed, as Receive then says
		}
		s.client.Touch() // it is we who do not read
	}
}

// closedByClient answers a close frame. A code is answered with the same.
func (s *session) closedByClient(code protocol.Code) {
	answer := protocol.AppendCloseFrame(nil, code, "")
	if code == protocol.NoCode {
		code = codeMissing
	}
	e := hub.End{Code: code, Reason: hub.ClientClosed}
	if s.closeWith(e, [][]byte{answer}) {
		s.client.Gone(e)
	}
}

// codeMissing stands for the code of a close frame that has none.
const codeMissing = 1005

// fault closes a connection whose client breaks the WebSocket protocol.
func (s *session) fault(ev protocol.FrameEvent) {
	reason := hub.BadFrame
	switch ev.Code {
	case protocol.CodeTooBig:
		reason = hub.TooLarge
	case protocol.CodeInvalidPayload:
		reason = hub.BadText
	}
	s.fail(ev.Code, ev.Reason, reason)
}

// fail has the hub close the connection, so that answers to earlier messages go
// out first. Should the hub not come to it, the connection is closed after a while
// all the same.
func (s *session) fail(code protocol.Code, why string, reason hub.CloseReason) {
	s.client.Close(protocol.Fault{Code: code, Message: why}, reason)
	s.line.Lock()
	defer s.line.Unlock()
	if !s.ended {
		s.setTimer(messageTimeout, func() { s.finish(hub.End{Code: code, Reason: reason}) })
	}
}

// watch sets or stops the timer of a message, as the client owes bytes or not. It
// is for the session's owner.
func (s *session) watch() {
	owes := s.frames.Pending() || s.line.port != nil && hasPartialRecord(s.line.port.records)
	if owes != s.timed {
		s.expect(owes)
	}
}

func (s *session) expect(message bool) {
	s.timed = message
	s.line.Lock()
	defer s.line.Unlock()
	switch {
	case s.ended: // the timer is that of closing
	case message:
		s.setTimer(messageTimeout, s.late)
	default:
		s.stopTimer()
	}
}

// late ends the connection of a client that does not finish a message.
func (s *session) late() {
	s.fail(codePolicy, lateMessage, hub.MessageTimeout)
}

const lateMessage = "A message was not finished within 30 seconds"

// codePolicy is RFC 6455's code for what no other one says.
const codePolicy = 1008
