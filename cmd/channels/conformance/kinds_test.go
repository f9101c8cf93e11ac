//go:build conformance

package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// kind is a way to reach the server. Its helpers speak that way to a server that
// was started for it: HTTP and sockets over TLS, messages compressed.
type kind struct {
	name string

	// tls says that the public listener has a certificate.
	tls bool

	// compressed says that sockets negotiate permessage-deflate, and that every
	// message of a client is compressed, however small.
	compressed bool
}

var (
	plain         = kind{name: "plain"}
	overTLS       = kind{name: "TLS", tls: true}
	compressed    = kind{name: "compressed", compressed: true}
	compressedTLS = kind{name: "compressed over TLS", tls: true, compressed: true}
)

// hostileKinds are those over which everything hostile is sent.
var hostileKinds = []kind{plain, overTLS, compressed}

// over runs a test over each kind, in parallel.
func over(t *testing.T, kinds []kind, test func(t *testing.T, k kind)) {
	t.Helper()
	for _, k := range kinds {
		if k.compressed && os.Getenv(transportVariable) != "" {
			continue // that is a matter of WebSockets
		}
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// start runs a server of the kind, with the settings of [start].
func (k kind) start(t testing.TB, settings ...string) *server {
	t.Helper()
	return k.startBinary(t, mustBinary(t), settings...)
}

func (k kind) startBinary(t testing.TB, binary string, settings ...string) *server {
	t.Helper()
	if k.tls {
		c := mustCertificate(t)
		settings = append([]string{"CHANNELS_TLS_CERT_FILE=" + c.certFile, "CHANNELS_TLS_KEY_FILE=" + c.keyFile}, settings...)
	}
	s := startBinary(t, binary, settings...)
	s.kind = k
	return s
}

// as gives a second view of the server, which clients reach over another kind.
// It must have the same listener.
func (s *server) as(k kind) *server {
	if k.tls != s.kind.tls {
		panic("a server has either TLS or not")
	}
	return &server{t: s.t, Addr: s.Addr, Ops: s.Ops, cmd: s.cmd, log: s.log, done: s.done, kind: k}
}

// url gives the URL of a path, for a scheme of "http" or "ws".
func (s *server) url(scheme, path string) string {
	if s.kind.tls {
		scheme += "s"
	}
	return scheme + "://" + s.Addr + path
}

// httpClient trusts the certificate of the tests.
func (s *server) httpClient() *http.Client {
	client := &http.Client{Timeout: patience}
	if s.kind.tls {
		client.Transport = tlsTransport(s.t)
	}
	return client
}

// dialOptions are those of the WebSocket library for the kind.
func (s *server) dialOptions(header http.Header) *websocket.DialOptions {
	options := &websocket.DialOptions{HTTPHeader: header}
	if s.kind.tls {
		options.HTTPClient = &http.Client{Transport: tlsTransport(s.t)}
	}
	if transport := os.Getenv(transportVariable); transport != "" {
		options.HTTPClient = &http.Client{Transport: overHTTP{transport, s.tlsConfig()}}
	}
	if s.kind.compressed {
		options.CompressionMode, options.CompressionThreshold = websocket.CompressionNoContextTakeover, 1
	}
	return options
}

// tlsConfig is that of clients; nil = they speak plain HTTP.
func (s *server) tlsConfig() *tls.Config {
	if !s.kind.tls {
		return nil
	}
	return clientTLS(s.t)
}

// certificate is what a server of the tests shows.
type certificate struct {
	certFile, keyFile string
	trust             *x509.CertPool
}

func mustCertificate(t testing.TB) certificate {
	t.Helper()
	c, err := makeCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clientTLS trusts the certificate of the tests.
func clientTLS(t testing.TB) *tls.Config {
	t.Helper()
	return &tls.Config{RootCAs: mustCertificate(t).trust, ServerName: "localhost"}
}

// tlsTransport is shared, so that requests share connections as they do over
// the transport that is the default.
func tlsTransport(t testing.TB) *http.Transport {
	t.Helper()
	config := clientTLS(t)
	sharedTransport.Do(func() { sharedTransport.TLSClientConfig = config })
	return &sharedTransport.Transport
}

var sharedTransport struct {
	sync.Once
	http.Transport
}

// makeCertificate makes the self-signed certificate, once.
var makeCertificate = sync.OnceValues(func() (certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "conformance"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return certificate{}, err
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return certificate{}, err
	}
	parsed, err := x509.ParseCertificate(cert)
	if err != nil {
		return certificate{}, err
	}
	c := certificate{
		certFile: filepath.Join(buildDir, "cert.pem"),
		keyFile:  filepath.Join(buildDir, "key.pem"),
		trust:    x509.NewCertPool(),
	}
	c.trust.AddCert(parsed)
	if err := writePEM(c.certFile, "CERTIFICATE", cert); err != nil {
		return certificate{}, err
	}
	return c, writePEM(c.keyFile, "EC PRIVATE KEY", secret)
})

func writePEM(path, what string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: what, Bytes: der}), 0o600)
}

// jsonOf gives JSON of about n bytes that compresses as events of applications
// do.
func jsonOf(n int) string {
	var b strings.Builder
	b.WriteString(`[`)
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `{"id":%d,"kind":"message","author":"user-%d","text":"this is what was said, number %d"},`, i*7919, i%13, i)
	}
	return b.String() + `null]`
}

// TestKinds holds the helpers to what they promise: a compressed kind has
// negotiated compression, and its messages arrive.
func TestKinds(t *testing.T) {
	t.Parallel()
	over(t, []kind{plain, overTLS, compressed, compressedTLS}, func(t *testing.T, k kind) {
		s := k.start(t)
		c, w := connect(t, s), joinedWire(t, s)
		c.subscribe(room)
		data := jsonOf(4 << 10)
		publish(t, s, room, "large", data)
		c.expectData("large", room, data)
		opcode, payload, err := w.read()
		if err != nil || opcode != opText || len(payload) < len(data) {
			t.Fatalf("large event: got opcode %d, %d bytes, %v", opcode, len(payload), err)
		}
		if w.lastCompressed != k.compressed {
			t.Errorf("the event of 4 KiB came compressed: %v, want %v", w.lastCompressed, k.compressed)
		}
	})
}
