//go:build conformance

package conformance

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// selfSigned writes a certificate for localhost, and returns the settings for it.
func selfSigned(t testing.TB) []string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return []string{
		"CHANNELS_TLS_CERT_FILE=" + write("cert.pem", "CERTIFICATE", certificate),
		"CHANNELS_TLS_KEY_FILE=" + write("key.pem", "PRIVATE KEY", key),
	}
}

// secureWire is a wire over TLS.
type secureWire struct {
	conn *tls.Conn
	*wire
}

// dialSecure opens a TLS 1.3 connection from one of several loopback addresses.
func dialSecure(addr string, i int) (*tls.Conn, error) {
	dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%19))}}
	conn, err := tls.DialWithDialer(&dialer, "tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err == nil && conn.ConnectionState().Version != tls.VersionTLS13 {
		err = fmt.Errorf("not TLS 1.3")
	}
	return conn, err
}

// securelySubscribed opens a subscribed connection over TLS.
func securelySubscribed(addr string, i int, channel string) (*secureWire, error) {
	conn, err := dialSecure(addr, i)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, upgradeRequest); err != nil {
		return nil, err
	}
	w := &secureWire{conn: conn, wire: &wire{conn: conn.NetConn().(*net.TCPConn), in: bufio.NewReaderSize(conn, 512)}}
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("upgrade: %s", res.Status)
	}
	if _, _, err := w.read(); err != nil {
		return nil, err
	}
	if _, err := conn.Write(text(subscribeFrame(channel, "", "")).bytes()); err != nil {
		return nil, err
	}
	_, ack, err := w.read()
	if err == nil && !bytes.Contains(ack, []byte("subscription_succeeded")) {
		err = fmt.Errorf("acknowledgement: %s", ack)
	}
	return w, err
}

const (
	secureConnections = 3000
	secureMessage     = 10 << 10 // bytes that each connection sends and receives

	// secureMemory is what an idle connection over TLS may cost, in bytes.
	secureMemory = 12 << 10
)

// TestIdleMemoryOverTLS holds the resident memory of 3,000 idle connections over
// TLS 1.3 within its bound, before and after each has sent and received 10 KiB.
func TestIdleMemoryOverTLS(t *testing.T) {
	binary, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	s := startBinary(t, binary, append(selfSigned(t), "CHANNELS_APP_MAX_EVENT_BYTES=20000")...)
	before := resident(t, s)
	held := make([]*secureWire, secureConnections)
	inParallel(t, func(i int) (err error) {
		held[i], err = securelySubscribed(s.Addr, i, "my-channel")
		return err
	})
	perConnection := func() int { return (resident(t, s) - before) / secureConnections }
	expectMemory := func(when string) {
		t.Helper()
		var least int
		for range 90 { // the runtime returns memory over time
			if least = perConnection(); least <= secureMemory {
				break
			}
			time.Sleep(time.Second)
		}
		t.Logf("%s: %.1f KiB for each connection", when, float64(least)/1024)
		if least > secureMemory {
			t.Errorf("%s: %d bytes for each connection, want at most %d", when, least, secureMemory)
		}
	}
	expectMemory("idle")

	ping := text(`{"event":"pusher:ping","data":{"x":"` + strings.Repeat("x", secureMessage) + `"}}`).bytes()
	inParallel(t, func(i int) error {
		if _, err := held[i].conn.Write(ping); err != nil {
			return err
		}
		_, pong, err := held[i].read()
		if err == nil && !bytes.Contains(pong, []byte("pusher:pong")) {
			err = fmt.Errorf("got %.80s", pong)
		}
		return err
	})
	body := fmt.Sprintf(`{"name":"large","channels":["my-channel"],"data":%q}`, strings.Repeat("x", secureMessage))
	publisher, err := dialSecure(s.Addr, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Close()
	fmt.Fprintf(publisher, "POST %s?%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		eventsPath, signedQuery(body), len(body), body)
	inParallel(t, func(i int) error {
		_, event, err := held[i].read()
		if err == nil && !bytes.Contains(event, []byte(`"large"`)) {
			err = fmt.Errorf("got %.80s", event)
		}
		return err
	})
	expectMemory("after 10 KiB in both directions")
	for _, w := range held {
		_ = w.conn.NetConn().Close()
	}
}

// inParallel does something with each of the connections, some at a time.
func inParallel(t testing.TB, do func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	var next atomic.Int64
	var failed atomic.Pointer[error]
	for range 20 {
		all.Go(func() {
			for i := next.Add(1) - 1; i < secureConnections && failed.Load() == nil; i = next.Add(1) - 1 {
				if err := do(int(i)); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
}

// BenchmarkFanOutTLS is BenchmarkFanOut over TLS: 1,000 subscribers of one channel,
// events of 100 bytes.
func BenchmarkFanOutTLS(b *testing.B) {
	s := benchServer(b, selfSigned(b)...)
	var all sync.WaitGroup
	for i := range fanOutSubscribers {
		w, err := securelySubscribed(s.Addr, i, "my-channel")
		if err != nil {
			b.Fatal(err)
		}
		defer w.wire.conn.Close()
		all.Go(func() {
			if err := w.discard(b.N); err != nil {
				b.Error(err)
			}
		})
	}
	request := publishRequest(s.Addr)
	cpuBefore := cpuTime(b, s)
	b.ResetTimer()
	var next atomic.Int64
	for range publishers {
		all.Go(func() {
			conn, err := dialSecure(s.Addr, 0)
			if err == nil {
				err = publishOver(conn, request, &next, int64(b.N))
			}
			if err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	b.StopTimer()
	deliveries := float64(b.N) * fanOutSubscribers
	b.ReportMetric(deliveries/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64((cpuTime(b, s)-cpuBefore).Microseconds())/deliveries, "server-µs/delivery")
}
