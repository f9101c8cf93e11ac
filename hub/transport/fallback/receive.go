package fallback

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"channels/hub"
	"channels/protocol"
)

const (
	// maxUnits is when a response ends, in the units of JavaScript's strings:
	// behind the frame with which pusher-js has more than that, it makes a new
	// request and drops what follows.
	maxUnits = 256 << 10

	// beatEvery is how long a receiver waits before it sends a heartbeat. It keeps
	// pusher-js from asking for one, and proxies from ending the request.
	beatEvery = 25 * time.Second

	// writeTimeout is how long a client may take for one chunk.
	writeTimeout = 30 * time.Second

	// chunkSize is how many bytes are put together for one write.
	chunkSize = 16 << 10

	// maxReceiveBody is the largest body of a request that brings messages, which
	// needs none.
	maxReceiveBody = 4 << 10
)

// prelude makes browsers and proxies that hold back the first 2 KB of a response
// show what follows.
var prelude = []byte(strings.Repeat("h", 2048) + "\n")

// eventPrelude begins an EventSource's response.
var eventPrelude = []byte("\r\n")

// chunks holds buffers in which frames are put together for one write.
var chunks = sync.Pool{New: func() any {
	b := make([]byte, 0, chunkSize+chunkSize/2)
	return &b
}}

// serve makes a request the session's receiver until it ends. false: the session
// has ended, and nothing has been written.
func (s *session) serve(w http.ResponseWriter, r *http.Request, kind Kind) bool {
	control := http.NewResponseController(w)
	me := s.attach(r.Context(), control, kind.streams())
	if me == nil {
		return r.Context().Err() != nil
	}
	response := response{w: w, control: control, session: s, receiver: me, kind: kind}
	s.detach(me, response.run(r.Context().Done()))
	return true
}

// response is what a receiver writes.
type response struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	session  *session
	receiver *receiver
	kind     Kind
	units    int // written, as JavaScript counts
	bytes    int // written
	frames   int // written and not committed
}

// run writes what is queued until the response ends, and returns how long the
// client may take to make the next request.
func (o *response) run(gone <-chan struct{}) (grace time.Duration) {
	if o.kind.streams() && o.begin() != nil {
		return streamGrace
	}
	beat := time.NewTimer(beatEvery)
	defer beat.Stop()
	for {
		frames, next := o.take()
		switch next {
		case goOn:
		case stop:
			return absence
		case makeWay:
			o.makeWay()
			return absence
		}
		if len(frames) == 0 {
			if o.frames > 0 { // a poll that has brought everything
				return o.end()
			}
			select {
			case <-o.receiver.wake:
			case <-beat.C:
				o.session.idle()
			case <-gone:
				return o.aborted()
			}
			continue
		}
		full, err := o.write(frames)
		if err != nil {
			return o.aborted()
		}
		if o.kind.streams() {
			if o.commit() {
				return absence
			}
			beat.Reset(beatEvery)
		}
		if full {
			return o.end()
		}
	}
}

// aborted is the grace after a request that the client or a proxy has given up.
func (o *response) aborted() time.Duration {
	if o.kind.streams() {
		return streamGrace
	}
	return absence
}

// begin writes the prelude of a stream.
func (o *response) begin() error {
	o.session.mu.Lock()
	o.deadline()
	o.session.mu.Unlock()
	first := prelude
	if o.kind == EventSource {
		first = eventPrelude
	}
	o.units, o.bytes = len(first), len(first)
	if _, err := o.w.Write(first); err != nil {
		return err
	}
	return o.control.Flush()
}

// verdict is what a receiver is to do.
type verdict uint8

const (
	goOn    verdict = iota
	stop            // the session has ended
	makeWay         // for a newer request
)

// take takes frames from the queue.
func (o *response) take() ([][]byte, verdict) {
	s := o.session
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state == ended:
		return nil, stop
	case o.receiver.replaced:
		return nil, makeWay
	}
	frames := s.queue.take(chunkSize)
	if len(frames) > 0 {
		o.deadline()
	}
	return frames, goOn
}

// deadline limits the next write. The session's lock is held.
func (o *response) deadline() {
	if !o.receiver.replaced && o.session.state != ended {
		o.receiver.limitWrite(writeTimeout)
	}
}

// write writes frames, up to the one that fills the response.
func (o *response) write(frames [][]byte) (full bool, err error) {
	buf := chunks.Get().(*[]byte)
	chunk := (*buf)[:0]
	for _, frame := range frames {
		before := len(chunk)
		chunk = o.append(chunk, frame)
		o.units += protocol.UTF16Len(chunk[before:])
		o.frames++
		if full = o.units > maxUnits; full {
			break
		}
	}
	o.bytes += len(chunk)
	if _, err = o.w.Write(chunk); err == nil {
		err = o.control.Flush()
	}
	if cap(chunk) <= 2*chunkSize {
		*buf = chunk
		chunks.Put(buf)
	}
	return full, err
}

// commit removes from the queue what has been written. true: that was the close
// frame, and the session has ended.
func (o *response) commit() bool {
	s := o.session
	s.mu.Lock()
	if s.state == ended {
		s.mu.Unlock()
		return true
	}
	s.queue.commit(o.frames)
	o.frames = 0
	s.opened = true
	over, e := s.state == closing && len(s.queue.frames) == 0, s.end
	o.receiver.last = over
	s.mu.Unlock()
	if over {
		s.finish(e)
	}
	return over
}

// end ends a response that is complete: the client makes the next request as soon
// as it has it.
func (o *response) end() time.Duration {
	o.commit()
	return min(absence+time.Duration(o.bytes/slowest)*time.Second, maxAbsence)
}

// replacedCode and replacedReason close the older of two requests, as SockJS does.
const (
	replacedCode   protocol.Code = 2010
	replacedReason               = "Another connection still open"
)

// makeWay ends a response whose session has a newer receiver. A poll that has
// written something just ends.
func (o *response) makeWay() {
	if o.frames > 0 {
		o.commit()
		return
	}
	last := o.append(nil, protocol.AppendHTTPClose(nil, replacedCode, replacedReason))
	if _, err := o.w.Write(last); err == nil {
		_ = o.control.Flush() // who made the older request may be gone
	}
}

// append appends a frame in the form of the response. SockJS clients undo the
// escapes of a URI in what an EventSource brings.
func (o *response) append(dst, frame []byte) []byte {
	if o.kind != EventSource {
		return appendLine(dst, frame)
	}
	line := appendLine(nil, frame)
	dst = append(dst, "data: "...)
	dst = append(dst, bytes.ReplaceAll(line, []byte("%"), []byte("%25"))...)
	return append(dst, '\n') // an empty line ends the event
}

// appendLine appends a frame as a line of this transport.
func appendLine(dst, frame []byte) []byte {
	switch {
	case isLine(frame):
		return append(dst, frame...)
	case isPing(frame):
		return append(dst, heartbeat...)
	}
	return protocol.AppendHTTPMessage(dst, protocol.PayloadOf(frame))
}

// isLine says whether a frame is a line of this transport: those of WebSockets
// begin with a byte that is not ASCII.
func isLine(frame []byte) bool { return frame[0] < 0x80 }

// isPing says whether a frame is a heartbeat, or a ping of a WebSocket.
func isPing(frame []byte) bool {
	return frame[0] == heartbeat[0] || frame[0] == protocol.PingFrame()[0]
}

// refuse answers a client that may not open a session.
func (t *Transport) refuse(w http.ResponseWriter, kind Kind, refusal error) {
	fault := asFault(refusal)
	t.hub.CountClose(fault, hub.Refused)
	var out []byte
	if kind == Streaming {
		out = append(out, prelude...)
	}
	out = append(out, t.openFrame...)
	for _, frame := range lastFrames(fault) {
		out = appendLine(out, frame)
	}
	_, _ = w.Write(out) // nothing is left to do
}

// discardBody reads a body to its end, behind which the server notices when the
// client goes.
func discardBody(w http.ResponseWriter, r *http.Request) error {
	_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxReceiveBody))
	return err
}

func isTooLarge(err error) bool {
	var tooLarge *http.MaxBytesError
	return errors.As(err, &tooLarge)
}
