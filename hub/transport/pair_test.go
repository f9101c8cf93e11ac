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
	tb.Cleanup(func() { _ = near.Close() })
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
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer inner.Close()
	near, raw := connect(tb, NewTLSListener(inner, &tls.Config{Certificates: []tls.Certificate{certificate()}}))
	client := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	failed := make(chan error, 1)
	go func() { failed <- client.Handshake() }()
	if err := near.(*tls.Conn).Handshake(); err != nil {
		tb.Fatal(err)
	}
	if err := <-failed; err != nil {
		tb.Fatal(err)
	}
	return near, client
}
