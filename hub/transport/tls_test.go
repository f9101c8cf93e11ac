//go:build linux && !goroutinereaders

package transport

import (
	"bytes"
	"crypto/tls"
	"io"
	"testing"

	"channels/hub/transport/outbox"
	"channels/hub/transport/poller"
)

// readAll reads records until nothing is there, as a reader does.
func readAll(t *testing.T, s *session) []byte {
	t.Helper()
	var got []byte
	buf := make([]byte, poller.ReadSize)
	for first := true; ; first = false {
		n, _, err := s.line.read(buf, first)
		got = append(got, buf[:n]...)
		if err == errWouldBlock {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestTLSBuffersAreReleased holds that this version of Go has the fields that
// tlsbuffers.go resets, and that they are empty after a large record.
func TestTLSBuffersAreReleased(t *testing.T) {
	if inputOffset < 0 || handshakeOffset < 0 {
		t.Fatal("tls.Conn has other fields than expected: an idle connection keeps its buffers")
	}
	near, far := securePair(t)
	s := newTestSession(near)
	records := near.(*tls.Conn)
	sent := bytes.Repeat([]byte("0123456789"), 6000)
	go func() { _, _ = far.Write(sent) }()
	var got []byte
	largest := 0
	for len(got) < len(sent) {
		s.line.Lock()
		got = append(got, readAll(t, s)...)
		s.line.Unlock()
		largest = max(largest, bufferAt(records, inputOffset).Cap())
	}
	if !bytes.Equal(got, sent) {
		t.Error("other bytes than were sent")
	}
	s.line.Lock()
	defer s.line.Unlock()
	readAll(t, s)
	if input, hand := bufferAt(records, inputOffset).Cap(), bufferAt(records, handshakeOffset).Cap(); input > keptInput || hand > 0 {
		t.Errorf("%d and %d bytes are kept", input, hand)
	}
	if s.line.held != nil {
		t.Error("a buffer for writing is kept")
	}
}

// TestTLSRecordsInPieces: a record of which a part has come waits in crypto/tls,
// whatever is read meanwhile.
func TestTLSRecordsInPieces(t *testing.T) {
	near, far, cut := securePairCut(t)
	cut.cutting = true
	s := newTestSession(near)
	var sent, got []byte
	for i := range 50 {
		message := bytes.Repeat([]byte{byte(i)}, 1+i*7)
		sent = append(sent, message...)
		if _, err := far.Write(message); err != nil {
			t.Fatal(err)
		}
		s.line.Lock()
		for cut.passOn(t, 11) {
			got = append(got, readAll(t, s)...)
		}
		s.line.Unlock()
	}
	for len(got) < len(sent) {
		s.line.Lock()
		got = append(got, readAll(t, s)...)
		s.line.Unlock()
	}
	if !bytes.Equal(got, sent) {
		t.Error("other bytes than were sent")
	}
}

// TestTLSWriteToASlowPeer writes more than the kernel takes. All arrives once the
// peer reads, and meanwhile no more than a chunk is encrypted.
func TestTLSWriteToASlowPeer(t *testing.T) {
	near, far := securePair(t)
	s := newTestSession(near)
	sent := bytes.Repeat([]byte("0123456789a"), 1<<20)
	s.Send([][]byte{sent})
	s.line.Lock()
	if s.outbox.Empty() || s.line.Pending() > outbox.ChunkSize+1024 {
		t.Errorf("%d bytes of ciphertext wait, want a chunk at most, and the rest in the queue", s.line.Pending())
	}
	s.line.Unlock()
	got, err := io.ReadAll(io.LimitReader(far, int64(len(sent))))
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes, %v; as they were sent: %t", len(got), err, bytes.Equal(got, sent))
	}
}

// TestTLSBehindAWrapper: what a wrapper of the TCP connection has read ahead comes
// first.
func TestTLSBehindAWrapper(t *testing.T) {
	near, far, cut := securePairCut(t)
	cut.cutting = true
	if _, err := far.Write([]byte("ahead, on the wire")); err != nil {
		t.Fatal(err)
	}
	const ahead = 7 // bytes of the record
	p := portOf(near)
	p.ahead = bytes.Clone(cut.kept[:ahead])
	cut.kept = cut.kept[ahead:]
	s := newTestSession(near)
	s.line.Lock()
	defer s.line.Unlock()
	var got []byte
	for cut.passOn(t, 100) {
	}
	for len(got) == 0 {
		got = readAll(t, s)
	}
	if string(got) != "ahead, on the wire" {
		t.Errorf("got %q", got)
	}
}
