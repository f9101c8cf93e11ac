//go:build linux && !goroutinereaders

package transport

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"channels/hub"
	"channels/hub/transport/poller"
)

// renewer is the writing side of a client of TLS 1.3 that renews its keys at will
// (RFC 8446, 4.6.3), for which crypto/tls has no call. crypto/tls makes the
// handshake before and reads.
type renewer struct {
	t      testing.TB
	tcp    net.Conn
	suite  uint16
	secret []byte // the client's traffic secret, from which key and iv come
	aead   cipher.AEAD
	iv     []byte
	seq    uint64 // of the next record
	out    []byte // records that wait for send
}

// Types of records, and the message KeyUpdate that asks for one in return.
const (
	recordHandshake   = 22
	recordApplication = 23
)

var askForRenewal = []byte{24, 0, 0, 1, 1}

// answerSize is how many bytes the record takes with which TLS answers a renewal:
// a header, a message as long as askForRenewal, the type and the tag.
const answerSize = 5 + 5 + 1 + 16

// newRenewer returns the two ends of a TLS connection, the far one for reading
// only, and the writer in its place.
func newRenewer(t testing.TB) (near net.Conn, far *tls.Conn, w *renewer) {
	t.Helper()
	var secrets bytes.Buffer
	near, far, cut := securePairOf(t, &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, KeyLogWriter: &secrets,
	})
	w = &renewer{t: t, tcp: cut.Conn, suite: far.ConnectionState().CipherSuite}
	for line := range strings.Lines(secrets.String()) {
		if word := strings.Fields(line); word[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(word[2])
			if err != nil {
				t.Fatal(err)
			}
			w.use(secret)
			return near, far, w
		}
	}
	t.Fatalf("no secret in %s", &secrets)
	return nil, nil, nil
}

// use has what follows encrypted with the keys of a secret.
func (w *renewer) use(secret []byte) {
	w.t.Helper()
	w.secret, w.seq = secret, 0
	w.iv = w.expand("iv", 12)
	var err error
	switch w.suite {
	case tls.TLS_AES_128_GCM_SHA256:
		var block cipher.Block
		if block, err = aes.NewCipher(w.expand("key", 16)); err == nil {
			w.aead, err = cipher.NewGCM(block)
		}
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		w.aead, err = chacha20poly1305.New(w.expand("key", chacha20poly1305.KeySize))
	default:
		w.t.Fatalf("no code for %s", tls.CipherSuiteName(w.suite))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// expand is HKDF-Expand-Label with an empty context (RFC 8446, 7.1).
func (w *renewer) expand(label string, length int) []byte {
	w.t.Helper()
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(length))
	info = append(append(append(info, byte(len(label))), label...), 0)
	key, err := hkdf.Expand(sha256.New, w.secret, string(info), length)
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

// add puts a record behind those that wait (RFC 8446, 5.2).
func (w *renewer) add(kind byte, content []byte) {
	inner := append(bytes.Clone(content), kind)
	head := []byte{recordApplication, 3, 3}
	head = binary.BigEndian.AppendUint16(head, uint16(len(inner)+w.aead.Overhead()))
	nonce := bytes.Clone(w.iv)
	last := nonce[len(nonce)-8:]
	binary.BigEndian.PutUint64(last, binary.BigEndian.Uint64(last)^w.seq)
	w.seq++
	w.out = w.aead.Seal(append(w.out, head...), nonce, inner, head)
}

// renew adds a renewal of the keys, which asks the server to renew its own.
func (w *renewer) renew() {
	w.add(recordHandshake, askForRenewal)
	w.use(w.expand("traffic upd", sha256.Size))
}

// send writes the records that wait.
func (w *renewer) send() error {
	_, err := w.tcp.Write(w.out)
	w.out = w.out[:0]
	return err
}

// serve starts a session with readers of its own, as the server does.
func serve(t *testing.T, near net.Conn) *session {
	t.Helper()
	app := hub.DefaultApp()
	h := hub.New(hub.Options{Apps: []hub.App{app}})
	t.Cleanup(h.Close)
	tr := New(Options{Hub: h})
	t.Cleanup(tr.Close)
	s := tr.newSession(near, h.AppByKey(app.Key), []byte("greeting"), false)
	if _, err := tr.connect(s, hub.Visitor{}); err != nil {
		t.Fatal(err)
	}
	s.start(nil)
	t.Cleanup(func() { s.finish(disconnected) })
	return s
}

// isGone waits for the end of the session.
func (s *session) isGone(t *testing.T) bool {
	t.Helper()
	for range 1000 {
		if s.transport.Sessions() == 0 {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// TestKeysAreRenewed has a client renew its keys before each message. The answers
// come with renewed keys as well, and crypto/tls can read them.
func TestKeysAreRenewed(t *testing.T) {
	near, far, w := newRenewer(t)
	s := serve(t, near)
	const message, rounds = `{"event":"pusher:ping","data":{}}`, 100
	text := append([]byte{0x81, 0x80 | byte(len(message)), 0, 0, 0, 0}, message...)
	if err := far.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var got []byte
	buf := make([]byte, 4<<10)
	for i := range rounds {
		w.renew()
		w.add(recordApplication, text)
		if err := w.send(); err != nil {
			t.Fatal(err)
		}
		for bytes.Count(got, []byte("pusher:pong")) <= i {
			n, err := far.Read(buf)
			if err != nil {
				t.Fatalf("after %d renewals: %v", i+1, err)
			}
			got = append(got, buf[:n]...)
		}
	}
	if s.isOver() {
		t.Error("closed")
	}
}

// TestNothingButRenewals: a client that renews its keys again and again without a
// message between is closed after a few.
func TestNothingButRenewals(t *testing.T) {
	near, _, w := newRenewer(t)
	s := serve(t, near)
	const renewals = 200
	for range renewals {
		w.renew()
	}
	_ = w.send() // it may be closed before the end
	if !s.isGone(t) {
		t.Fatalf("open after %d renewals", renewals)
	}
	if err := w.tcp.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, _ := io.Copy(io.Discard, w.tcp); n >= renewals*answerSize/2 {
		t.Errorf("%d bytes came, as of most of the answers", n)
	}
}

// TestRenewalsWhoseAnswersAreNotRead: with messages between the renewals, which keep
// the connection open, TLS answers each. What waits of the answers is bounded, and
// the client is closed that does not read them.
func TestRenewalsWhoseAnswersAreNotRead(t *testing.T) {
	near, _, w := newRenewer(t)
	s := newTestSession(near)
	before := s.transport.limits.Node.Used()
	s.Send([][]byte{make([]byte, 32<<20)}) // more than the kernel takes
	buf := make([]byte, poller.ReadSize)
	const between, bound = 8, 20_000
	most, renewals := 0, 0
	for err := error(nil); err == nil || err == errWouldBlock; renewals += between {
		if renewals > bound {
			t.Fatalf("open after %d renewals, with %d bytes held", renewals, most)
		}
		for range between {
			w.renew()
		}
		w.add(recordApplication, []byte(pong))
		if err := w.send(); err != nil {
			t.Fatal(err)
		}
		for first := true; first || err == nil; first = false {
			_, _, err = s.read(buf, first)
			s.line.Lock()
			most = max(most, s.line.Pending())
			s.line.Unlock()
		}
	}
	if most > mostHeld+answerSize || most < mostHeld {
		t.Errorf("%d bytes were held after %d renewals, want up to %d", most, renewals, mostHeld)
	}
	s.finish(disconnected) // as a reader does
	if n := s.transport.limits.Node.Used() - before; n != 0 {
		t.Errorf("%d bytes still count as queued", n)
	}
}
