//go:build conformance

package conformance

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// Opcodes of RFC 6455.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// wireFrame is a WebSocket frame that a well-behaved library would not always
// send.
type wireFrame struct {
	More     bool // not the last fragment
	Reserved byte // RSV1 to RSV3, as the three bits after FIN
	Opcode   byte
	Unmasked bool
	Verbatim bool // not compressed, although compression was negotiated
	Payload  string
}

func (f wireFrame) bytes() []byte {
	first := f.Opcode | f.Reserved<<4
	if !f.More {
		first |= 0x80
	}
	var mask byte
	if !f.Unmasked {
		mask = 0x80
	}
	out := []byte{first}
	switch n := len(f.Payload); {
	case n < 126:
		out = append(out, mask|byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, mask|126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, mask|127), uint64(n))
	}
	if f.Unmasked {
		return append(out, f.Payload...)
	}
	key := [4]byte{0x12, 0x34, 0x56, 0x78}
	out = append(out, key[:]...)
	for i := range len(f.Payload) {
		out = append(out, f.Payload[i]^key[i%4])
	}
	return out
}

func text(payload string) wireFrame { return wireFrame{Opcode: opText, Payload: payload} }

// dialTCP connects to the socket listener and gives the connection a deadline
// for everything that follows.
func dialTCP(t testing.TB, s *server) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.Addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// stream is what carries HTTP: TCP, or TLS over it.
type stream interface {
	net.Conn
	CloseWrite() error
}

// dialStream connects as dialTCP does, and speaks TLS where the server does.
func dialStream(t testing.TB, s *server) stream {
	t.Helper()
	return secured(t, s, dialTCP(t, s))
}

// secured speaks TLS over a connection to a server that has it.
func secured(t testing.TB, s *server, tcp *net.TCPConn) stream {
	t.Helper()
	if !s.kind.tls {
		return tcp
	}
	conn := tls.Client(tcp, clientTLS(t))
	if err := conn.Handshake(); err != nil {
		t.Fatalf("TLS handshake: %v", err)
	}
	return conn
}

// wire is a WebSocket connection without a library.
type wire struct {
	t    testing.TB
	tcp  *net.TCPConn
	conn net.Conn // tcp, or TLS over it
	in   *bufio.Reader

	socketID string

	// deflating says that compression was negotiated: messages are compressed
	// where the test does not say otherwise.
	deflating bool
	deflater  *flate.Writer // of the message that is being sent, between fragments
	deflated  bytes.Buffer  // what it has written

	lastCompressed bool // whether the last frame that was read was
}

const upgradeRequest = "GET " + defaultPath + " HTTP/1.1\r\n" +
	"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// compressionOffer is what browsers offer, and that each message stands alone.
const compressionOffer = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n"

// request is the upgrade request of the kind.
func (k kind) request() string {
	if !k.compressed {
		return upgradeRequest
	}
	return strings.TrimSuffix(upgradeRequest, "\r\n") + compressionOffer + "\r\n"
}

// upgrade opens a wire, sending more bytes right behind the request.
func upgrade(t testing.TB, s *server, more ...wireFrame) *wire {
	t.Helper()
	w := newWire(t, s)
	first := []byte(s.kind.request())
	for _, f := range more {
		first = append(first, w.encode(f)...)
	}
	w.raw(first)
	w.expectUpgraded()
	return w
}

// newWire is connected, and has sent nothing.
func newWire(t testing.TB, s *server) *wire {
	t.Helper()
	w := &wire{t: t, tcp: dialTCP(t, s), deflating: s.kind.compressed}
	w.conn = secured(t, s, w.tcp)
	w.in = bufio.NewReader(w.conn)
	return w
}

// expectUpgraded requires the answer to the handshake and the first frame.
func (w *wire) expectUpgraded() {
	w.t.Helper()
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		w.t.Fatalf("upgrade: %v", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatalf("upgrade: got %s", res.Status)
	}
	if accept := res.Header.Get("Sec-WebSocket-Accept"); accept != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		w.t.Fatalf("Sec-WebSocket-Accept: got %q", accept)
	}
	extensions := res.Header.Get("Sec-WebSocket-Extensions")
	if negotiated := strings.HasPrefix(extensions, "permessage-deflate"); negotiated != w.deflating || extensions != "" && !negotiated {
		w.t.Fatalf("Sec-WebSocket-Extensions: got %q where compression was offered: %v", extensions, w.deflating)
	}
	w.expectEstablished()
}

func (w *wire) expectEstablished() {
	w.t.Helper()
	first := w.expect(opText, `{"event":"pusher:connection_established"`)
	id := socketIDField.FindSubmatch(first)
	if id == nil {
		w.t.Fatalf("first frame: got %s, want a socket_id", first)
	}
	w.socketID = string(id[1])
}

// extend gives the wire more time than [patience], for a test that takes longer.
func (w *wire) extend(d time.Duration) {
	w.t.Helper()
	if err := w.tcp.SetDeadline(time.Now().Add(d)); err != nil {
		w.t.Fatal(err)
	}
}

// joinedWire gives a wire that is subscribed to the room.
func joinedWire(t testing.TB, s *server) *wire {
	t.Helper()
	w := upgrade(t, s)
	w.send(text(subscribeFrame(room, "", "")))
	w.expectText(`{"event":"pusher_internal:subscription_succeeded"`)
	return w
}

// encode gives the bytes of a frame. Where compression was negotiated, the
// frames of a text are compressed, unless the test sets bits of its own.
func (w *wire) encode(f wireFrame) []byte {
	data := f.Opcode == opText || f.Opcode == opContinuation && w.deflater != nil
	if !w.deflating || !data || f.Reserved != 0 || f.Verbatim {
		return f.bytes()
	}
	if f.Opcode == opText {
		w.deflated.Reset()
		w.deflater = deflaters.Get().(*flate.Writer)
		w.deflater.Reset(&w.deflated)
		f.Reserved = rsv1
	}
	if _, err := io.WriteString(w.deflater, f.Payload); err != nil {
		w.t.Fatal(err)
	}
	if err := w.deflater.Flush(); err != nil {
		w.t.Fatal(err)
	}
	f.Payload = w.deflated.String()
	w.deflated.Reset()
	if !f.More {
		deflaters.Put(w.deflater)
		f.Payload, w.deflater = strings.TrimSuffix(f.Payload, flushMark), nil
	}
	return f.bytes()
}

// deflaters take a megabyte each, and long to make under the race detector.
var deflaters = sync.Pool{New: func() any {
	d, _ := flate.NewWriter(nil, flate.BestSpeed) // fails for unknown levels only
	return d
}}

// flushMark ends what a flush of DEFLATE writes; the last fragment goes without.
const flushMark = "\x00\x00\xff\xff"

// rsv1 marks a compressed message, as [wireFrame] has it.
const rsv1 = 4

// deflate gives the payload of a compressed message.
func deflate(t testing.TB, payload string) string {
	t.Helper()
	var out bytes.Buffer
	d := must[*flate.Writer](t, "flate")(flate.NewWriter(&out, flate.BestCompression))
	if _, err := io.WriteString(d, payload); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(out.String(), flushMark)
}

// inflate undoes deflate.
func inflate(payload []byte) ([]byte, error) {
	whole := io.MultiReader(bytes.NewReader(payload), strings.NewReader(flushMark+"\x01"+flushMark))
	return io.ReadAll(flate.NewReader(whole))
}

func (w *wire) raw(bytes []byte) {
	w.t.Helper()
	if _, err := w.conn.Write(bytes); err != nil {
		w.t.Fatalf("write: %v", err)
	}
}

func (w *wire) send(frames ...wireFrame) {
	w.t.Helper()
	var out []byte
	for _, f := range frames {
		out = append(out, w.encode(f)...)
	}
	w.raw(out)
}

// read gives the next frame of the server, which is never masked and never in
// fragments. A message that came compressed is given inflated.
func (w *wire) read() (opcode byte, payload []byte, err error) {
	first, payload, err := w.readFrame()
	if err != nil {
		return 0, nil, err
	}
	opcode, bits := first&0x0F, first&0xF0
	w.lastCompressed = w.deflating && opcode == opText && bits == 0xC0
	if bits != 0x80 && !w.lastCompressed {
		return 0, nil, fmt.Errorf("a frame begins with %#x: fragmented or compressed", first)
	}
	if w.lastCompressed {
		payload, err = inflate(payload)
	}
	return opcode, payload, err
}

// readFrame gives the next frame as it is on the wire: its first byte and its
// payload.
func (w *wire) readFrame() (first byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return 0, nil, err
	}
	if head[1]&0x80 != 0 {
		return 0, nil, fmt.Errorf("frame header %x: masked", head)
	}
	n, err := w.length(head[1])
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(w.in, payload)
	return head[0], payload, err
}

// length reads the rest of a frame's length, which is in its shortest form.
func (w *wire) length(second byte) (uint64, error) {
	width, least := 0, uint64(0)
	switch second {
	case 126:
		width, least = 2, 126
	case 127:
		width, least = 8, 1<<16
	default:
		return uint64(second), nil
	}
	var long [8]byte
	if _, err := io.ReadFull(w.in, long[8-width:]); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint64(long[:])
	if n < least {
		return 0, fmt.Errorf("a length of %d in %d bytes", n, width)
	}
	return n, nil
}

func (w *wire) expect(opcode byte, beginning string) []byte {
	w.t.Helper()
	got, payload, err := w.read()
	if err != nil {
		w.t.Fatalf("read: %v, want opcode %#x %q", err, opcode, beginning)
	}
	if got != opcode || !bytes.HasPrefix(payload, []byte(beginning)) {
		w.t.Fatalf("got opcode %#x %q, want %#x %q", got, payload, opcode, beginning)
	}
	return payload
}

func (w *wire) expectText(beginning string) {
	w.t.Helper()
	w.expect(opText, beginning)
}

// expectFailed requires that the server fails the connection: a close frame
// with this code, after a pusher:error or none, and the end of the stream.
func (w *wire) expectFailed(code uint16) {
	w.t.Helper()
	if !w.failed(code) {
		w.t.Fatalf("the stream ended without a close frame, want code %d", code)
	}
}

// expectCut is expectFailed where bytes that the server does not want to read
// may be on their way: they can make the kernel drop the close frame.
func (w *wire) expectCut(code uint16) {
	w.t.Helper()
	w.failed(code)
}

// failed reads to the end of the stream, and says whether a close frame came,
// which must have the code.
func (w *wire) failed(code uint16) (closed bool) {
	w.t.Helper()
	for {
		opcode, payload, err := w.read()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				w.t.Fatal("the server kept the connection open")
			}
			return closed
		}
		switch {
		case closed:
			w.t.Fatalf("after the close frame: got opcode %d %.200q", opcode, payload)
		case opcode == opClose:
			if len(payload) < 2 || binary.BigEndian.Uint16(payload) != code {
				w.t.Fatalf("close frame: got %q, want code %d", payload, code)
			}
			closed = true
			_, _ = w.conn.Write(wireFrame{Opcode: opClose, Payload: string(payload[:2])}.bytes())
		case opcode == opText:
			if !bytes.HasPrefix(payload, []byte(`{"event":"pusher:error"`)) {
				w.t.Fatalf("got %q after a violation of the protocol", payload)
			}
		}
	}
}
