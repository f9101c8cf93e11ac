package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"channels/hub"
	"channels/hub/server"
	"channels/protocol"
)

func TestEventRate(t *testing.T) {
	r := newRig(t, func(a *hub.App) { a.EventsPerSecond = 10 })
	statuses := map[int]int{}
	const text = "Event rate limit exceeded: this app may publish 10 events per second, try again in a moment"
	for range 20 {
		status, got := r.call(r.app, "POST", "/apps/1/events", `{"name":"e","channels":["news"],"data":"x"}`, nil)
		statuses[status]++
		if status == 429 && got != text {
			t.Errorf("got %s", got)
		}
	}
	if statuses[200] < 10 || statuses[429] == 0 || statuses[200]+statuses[429] != 20 {
		t.Errorf("statuses %v, want 10 of 200 and the rest 429", statuses)
	}
	if status, got := r.call(r.hub.AppByID("2"), "POST", "/apps/2/events", `{"name":"e","channels":["news"],"data":"x"}`, nil); status != 200 {
		t.Errorf("the other app: %d %s", status, got)
	}
}

func TestRequestRate(t *testing.T) {
	r := newRig(t, nil, func(o *options) { o.api.RequestsPerSecond = 5 })
	refused := 0
	for range 15 {
		status, got := r.call(r.app, "GET", "/apps/1/channels", "", nil)
		if status == 429 && strings.Contains(got, "Request rate limit exceeded: this app may make 5 requests per second") {
			refused++
		}
	}
	if refused == 0 || refused > 10 {
		t.Errorf("%d of 15 refused, want up to 10", refused)
	}
}

// TestQuotaUnderRush opens many connections at once: never one too many, and
// what was refused does not count.
func TestQuotaUnderRush(t *testing.T) {
	const quota, rush = 20, 200
	r := newRig(t, func(a *hub.App) { a.MaxConnections = quota })
	var mu sync.Mutex
	var held []*websocket.Conn
	codes := map[protocol.Code]int{}
	var all sync.WaitGroup
	for range rush {
		all.Go(func() {
			ws, _, err := websocket.Dial(t.Context(), "ws://"+r.addr+"/app/app-key?protocol=7", nil)
			if err != nil {
				t.Error(err)
				return
			}
			_, message, err := ws.Read(t.Context())
			if err == nil && bytes.Contains(message, []byte("connection_established")) {
				mu.Lock()
				held = append(held, ws)
				mu.Unlock()
				return
			}
			_, _, err = ws.Read(t.Context())
			mu.Lock()
			codes[protocol.Code(websocket.CloseStatus(err))]++
			mu.Unlock()
			_ = ws.CloseNow()
		})
	}
	all.Wait()
	if len(held) != quota || codes[protocol.CodeOverQuota] != rush-quota {
		t.Errorf("%d connected, refused %v; want %d and %d with 4004", len(held), codes, quota, rush-quota)
	}
	for _, ws := range held {
		_ = ws.CloseNow()
	}
	waitFor(t, "the connections to be gone", func() bool { return r.hub.Connections() == 0 })
	r.connect()
}

// TestHostileStrangers holds half a handshake on many connections and floods
// with others, while a healthy client keeps getting its events.
func TestHostileStrangers(t *testing.T) {
	r := newRig(t, nil)
	healthy := r.connect()
	healthy.subscribe("news")
	for range 100 {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	for range 8 {
		flood.Go(func() {
			for ctx.Err() == nil {
				if ws, _, err := websocket.Dial(ctx, "ws://"+r.addr+"/app/app-key?protocol=7", nil); err == nil {
					_ = ws.CloseNow()
				}
			}
		})
	}
	var took []time.Duration
	for i := range 50 {
		start := time.Now()
		r.trigger("news", fmt.Sprint("event-", i), "x")
		healthy.expect(fmt.Sprint("event-", i))
		took = append(took, time.Since(start))
	}
	cancel()
	flood.Wait()
	slices.Sort(took)
	if median := took[len(took)/2]; median > time.Second {
		t.Errorf("median latency %v", median)
	}
}

func TestHalfAMessageIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := hub.DefaultApp()
		app.ID, app.Key, app.Secret = "1", key, secret
		memory := hub.NewMemory()
		defer memory.Close()
		h := hub.New(hub.Options{Apps: []hub.App{app}, Bus: memory, State: memory})
		defer h.Close()
		front, _, _ := assemble(h, options{})
		web := front.HTTPServer()
		near, far := net.Pipe()
		go func() { _ = web.Serve(&oneConn{conn: far, done: make(chan struct{})}) }()
		defer web.Close()
		const hello = "GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
		whole := text(subscribeNews)
		go func() {
			_, _ = io.WriteString(near, hello)
			_, _ = near.Write(whole)
			time.Sleep(time.Minute) // idle between messages is fine
			_, _ = near.Write(whole[:len(whole)-1])
		}()
		start := time.Now()
		_, _ = io.ReadAll(near)
		if took := time.Since(start); took < 85*time.Second || took > 95*time.Second {
			t.Errorf("closed after %v, want a minute and 30 s", took)
		}
		synctest.Wait()
		if n := h.Connections(); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
}

// oneConn is a listener with a single connection.
type oneConn struct {
	conn net.Conn
	once sync.Once
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

func TestHandshakeRate(t *testing.T) {
	r := newRig(t, nil, func(o *options) { o.server.HandshakesPerSecond = 5 })
	refused := 0
	for range 15 {
		ws, resp, err := websocket.Dial(t.Context(), "ws://"+r.addr+"/app/app-key?protocol=7", nil)
		if err == nil {
			_ = ws.CloseNow()
			continue
		}
		if resp == nil || resp.StatusCode != http.StatusTooManyRequests {
			t.Fatalf("refused with %v, want status 429", err)
		}
		refused++
	}
	if refused == 0 || refused > 10 {
		t.Errorf("%d of 15 refused, want up to 10", refused)
	}
	if status, _ := r.call(r.app, "GET", "/apps/1/channels", "", nil); status != 200 {
		t.Errorf("REST calls are refused too: %d", status)
	}
}

func TestNodeQueueBudget(t *testing.T) {
	r := newRig(t, nil, func(o *options) { o.transport.Budget = hub.NewQueueBudget(128 << 10) })
	stalled := make([]*rawClient, 4)
	for i := range stalled {
		stalled[i] = r.raw(text(subscribeNews))
		stalled[i].expect(opText, "pusher:connection_established")
		stalled[i].expect(opText, "subscription_succeeded")
	}
	waitFor(t, "somebody to be closed, since the node's budget is used up", func() bool {
		// Publishes may be refused meanwhile, as the node is full.
		_ = r.hub.Trigger(t.Context(), r.app, hub.Event{
			Name: "event", Channels: []string{"news"}, Data: []byte(`"` + strings.Repeat("x", 9000) + `"`),
		})
		return r.hub.Connections() < len(stalled)
	})
}

func TestMetrics(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect()
	c.subscribe("news")
	r.expectCall("POST", "/apps/1/events", `{"name":"e","channels":["news"],"data":"x"}`, nil, 200, `{}`)
	c.expect("e")
	r.dial("/app/wrong?protocol=7").expectClose(protocol.CodeUnknownKey, "")

	problems, err := testutil.GatherAndLint(r.metrics.Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	show := func() *httptest.ResponseRecorder {
		page := httptest.NewRecorder()
		r.metrics.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
		return page
	}
	waitFor(t, "the refused socket's last frame to be off the queue", func() bool {
		return strings.Contains(show().Body.String(), "channels_queue_bytes 0\n")
	})
	page := show()
	for _, want := range []string{
		`channels_connections{app_id="1"} 1`,
		`channels_connections{app_id="2"} 0`,
		`channels_connections_opened_total{app_id="1"} 1`,
		`channels_messages_received_total{app_id="1"} 1`,
		`channels_messages_sent_total{app_id="1"} 3`,
		`channels_api_requests_total{app_id="1"} 1`,
		`channels_subscriptions{app_id="1"} 1`,
		`channels_closes_total{code="4001",reason="refused"} 1`,
		`channels_closes_total{code="4100",reason="slow_consumer"} 0`,
		`channels_closes_total{code="other",reason="client_closed"} 0`,
		`channels_refused_publishes_total{app_id="1",reason="unknown"} 0`,
		`channels_refused_publishes_total{app_id="2",reason="canceled"} 0`,
		`channels_failed_info_lookups_total{app_id="1"} 0`,
		`channels_api_responses_total{status="200"} 1`,
		`channels_api_responses_total{status="503"} 0`,
		`soketi_connected{app_id="1",port="6001"} 1`,
		`soketi_new_connections_total{app_id="1",port="6001"} 1`,
		`soketi_ws_messages_sent_total{app_id="1",port="6001"} 3`,
		`soketi_http_calls_received_total{app_id="1",port="6001"} 1`,
		`channels_delivery_latency_seconds_count 1`,
		`channels_queue_bytes 0`,
		`channels_mailbox_bytes 0`,
	} {
		if !strings.Contains(page.Body.String(), want+"\n") {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// writeCertificate writes a new certificate for localhost.
func writeCertificate(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(time.Duration(serial) * time.Second)
		if err := os.Chtimes(name, when, when); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestCertificateIsReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		certFile, keyFile := writeCertificate(t, dir, 1)
		c, err := server.LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		serial := func() int64 {
			t.Helper()
			pair, err := c.Config().GetCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := x509.ParseCertificate(pair.Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			return parsed.SerialNumber.Int64()
		}
		expect := func(when string, want int64) {
			t.Helper()
			if got := serial(); got != want {
				t.Errorf("%s: certificate %d, want %d", when, got, want)
			}
		}
		expect("at first", 1)
		writeCertificate(t, dir, 2)
		expect("before the files are looked at", 1)
		time.Sleep(11 * time.Second)
		expect("after that", 2)
		if err := os.WriteFile(keyFile, []byte("half a fi"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		expect("while the new one is not whole", 2)
		writeCertificate(t, dir, 3)
		time.Sleep(11 * time.Second)
		expect("when it is", 3)
	})
}

// overTLS is a change that has a rig speak TLS, and returns a client's
// configuration that trusts it.
func overTLS(t *testing.T) (change func(*options), trusting *tls.Config) {
	t.Helper()
	certFile, keyFile := writeCertificate(t, t.TempDir(), 1)
	certificate, err := server.LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return func(o *options) { o.secure = certificate.Config() }, &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

func TestSocketsOverTLS(t *testing.T) {
	secure, trusting := overTLS(t)
	r := newRig(t, func(a *hub.App) { a.ForceTLS = true }, secure)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting}}
	ws, _, err := websocket.Dial(t.Context(), "wss://"+r.addr+"/app/app-key?protocol=7",
		&websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	c := &clientOverTLS{t, ws}
	c.expect("pusher:connection_established")
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(subscribeNews)); err != nil {
		t.Fatal(err)
	}
	c.expect("subscription_succeeded")
	for i := range 100 {
		r.trigger("news", fmt.Sprint("event-", i), "x")
	}
	for i := range 100 {
		c.expect(fmt.Sprint("event-", i))
	}
	_ = ws.Close(websocket.StatusNormalClosure, "")
	waitFor(t, "the connection to be gone", func() bool { return r.hub.Connections() == 0 })
}

type clientOverTLS struct {
	t  *testing.T
	ws *websocket.Conn
}

func (c *clientOverTLS) expect(text string) {
	c.t.Helper()
	_, message, err := c.ws.Read(c.t.Context())
	if err != nil || !bytes.Contains(message, []byte(text)) {
		c.t.Fatalf("got %s, %v; want %s", message, err, text)
	}
}
