package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// pair returns the two ends of a TCP connection.
func pair(tb testing.TB) (near, far net.Conn) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	return connect(tb, listener)
}

// connect returns the two ends of a connection to the listener.
func connect(tb testing.TB, listener net.Listener) (near, far net.Conn) {
	tb.Helper()
	far, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = far.Close() })
	if near, err = listener.Accept(); err != nil {
		tb.Fatal(err)
	}
	descriptor := near
	if secure, ok := near.(*tls.Conn); ok { // which is the session's by the end of the test
		descriptor = secure.NetConn().(*port).Conn
	}
	tb.Cleanup(func() { _ = descriptor.Close() })
	return near, far
}

// certificate makes one for localhost, once.
var certificate = sync.OnceValue(func() tls.Certificate {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
})

// securePair returns the two ends of a TLS connection after the handshake, the
// near one from our listener.
func securePair(tb testing.TB) (near, far net.Conn) {
	tb.Helper()
	near, far, _ = securePairCut(tb)
	return near, far
}

// securePairCut is securePair, with a way to cut what the far end writes once cut
// has been used.
func securePairCut(tb testing.TB) (near, far net.Conn, cut *cutter) {
	tb.Helper()
	near, client, cut := securePairOf(tb, &tls.Config{InsecureSkipVerify: true})
	return near, client, cut
}

// securePairOf is securePairCut for a client with a configuration of its own.
func securePairOf(tb testing.TB, config *tls.Config) (near net.Conn, far *tls.Conn, cut *cutter) {
	tb.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer inner.Close()
	near, raw := connect(tb, NewTLSListener(inner, &tls.Config{Certificates: []tls.Certificate{certificate()}}))
	cut = &cutter{Conn: raw}
	client := tls.Client(cut, config)
	failed := make(chan error, 1)
	go func() { failed <- client.Handshake() }()
	if err := near.(*tls.Conn).Handshake(); err != nil {
		tb.Fatal(err)
	}
	if err := <-failed; err != nil {
		tb.Fatal(err)
	}
	return near, client, cut
}

// cutter is a connection that keeps what is written after the handshake, until it
// is passed on.
type cutter struct {
	net.Conn
	cutting bool
	kept    []byte
}

func (c *cutter) Write(b []byte) (int, error) {
	if !c.cutting {
		return c.Conn.Write(b)
	}
	c.kept = append(c.kept, b...)
	return len(b), nil
}

// passOn writes the next n bytes, and says whether there were any.
func (c *cutter) passOn(tb testing.TB, n int) bool {
	tb.Helper()
	n = min(n, len(c.kept))
	if _, err := c.Conn.Write(c.kept[:n]); err != nil {
		tb.Fatal(err)
	}
	c.kept = c.kept[n:]
	return n > 0
}
