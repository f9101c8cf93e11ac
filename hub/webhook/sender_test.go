package webhook

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// try makes one request to a URL.
func try(t *testing.T, s *sender, w hub.Webhook) Attempt {
	t.Helper()
	app := &hub.App{ID: "1", Key: "key", Secret: "new-secret", OtherSecrets: []string{"older", "oldest"}}
	o := hub.Occurrence{Kind: hub.HookOccupied, Topic: hub.Topic{App: "1", Channel: "a"}, At: time.Now()}
	return s.post(app, &w, newParcel(&w, time.Now(), []*waiting{{of: o}}))
}

func newTestSender(t *testing.T, allowPrivate bool, roots *x509.CertPool) *sender {
	t.Helper()
	s := newSender(allowPrivate, roots)
	t.Cleanup(s.close)
	return s
}

// quietly is a server that does not log what its handlers do on purpose.
func quietly(t *testing.T, tls bool, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// TestRequest: what a receiver gets.
func TestRequest(t *testing.T) {
	var got *http.Request
	var body []byte
	r := quietly(t, false, func(w http.ResponseWriter, q *http.Request) {
		got = q
		body, _ = io.ReadAll(q.Body)
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "thanks")
	})
	a := try(t, newTestSender(t, true, nil), hub.Webhook{URL: strings.Replace(r.URL, "://", "://user:password@", 1) + "/hooks?a=b", Headers: map[string]string{"X-Token": "t"}})
	if !a.ok() || a.Answer != "thanks" || a.Status != http.StatusAccepted || a.Events != 1 {
		t.Errorf("%+v", a)
	}
	if strings.Contains(a.URL, "password") || strings.Contains(a.URL, "a=b") {
		t.Errorf("an operator sees %s", a.URL)
	}
	if user, password, _ := got.BasicAuth(); user != "user" || password != "password" || got.URL.String() != "/hooks?a=b" || got.Method != http.MethodPost {
		t.Errorf("%s %s by %s:%s", got.Method, got.URL, user, password)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "X-Pusher-Key": "key", "X-Token": "t", "X-Channels-Delivery": a.ID,
		"X-Pusher-Signature": protocol.Sign("oldest", string(body)), // as the hosted service: the oldest secret
		"Content-Length":     fmt.Sprint(len(body)),
	} {
		if v := got.Header.Get(name); v != want && (name != "Content-Length" || got.ContentLength != int64(len(body))) {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	if !bytes.HasPrefix(body, []byte(`{"time_ms":`)) || !bytes.HasSuffix(body, []byte(`,"events":[{"name":"channel_occupied","channel":"a"}]}`)) {
		t.Errorf("body %s", body)
	}
}

// TestBadReceivers: what is no success, and what the operator is told of it.
func TestBadReceivers(t *testing.T) {
	elsewhere := quietly(t, false, func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") })
	reset, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer reset.Close()
	go func() {
		for conn, err := reset.Accept(); err == nil; conn, err = reset.Accept() {
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	}()
	closed, _ := net.Listen("tcp", "127.0.0.1:0")
	_ = closed.Close()
	garbage, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer garbage.Close()
	go func() {
		for conn, err := garbage.Accept(); err == nil; conn, err = garbage.Accept() {
			go func() {
				_, _ = conn.Read(make([]byte, 1))
				_, _ = conn.Write([]byte("\x00garbage\r\n\r\n"))
				_ = conn.Close()
			}()
		}
	}()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		url     string // where there is no handler
		want    string
	}{
		"500": {handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }, want: "the endpoint answered 500"},
		"a redirect": {handler: func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, elsewhere.URL, http.StatusTemporaryRedirect)
		}, want: "the endpoint answered 307"},
		"hangs": {handler: func(_ http.ResponseWriter, q *http.Request) { _, _ = io.ReadAll(q.Body); <-q.Context().Done() }, want: "no answer within 300ms"},
		"hangs within a refusal": {handler: func(w http.ResponseWriter, q *http.Request) {
			_, _ = io.ReadAll(q.Body)
			w.WriteHeader(http.StatusBadGateway)
			_ = http.NewResponseController(w).Flush()
			<-q.Context().Done()
		}, want: "no answer within 300ms"},
		"resets":  {url: "http://" + reset.Addr().String(), want: "EOF|reset"},
		"is down": {url: "http://" + closed.Addr().String(), want: "connection refused"},
		"garbage": {url: "http://" + garbage.Addr().String(), want: "malformed HTTP"},
		"long headers": {handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}, want: "exceeded"},
		"no host": {url: "http://nobody.invalid/", want: "no such host|server misbehaving|lookup"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.handler != nil {
				test.url = quietly(t, false, test.handler).URL
			}
			a := try(t, newTestSender(t, true, nil), hub.Webhook{URL: test.url + "/", Timeout: 300 * time.Millisecond})
			found := false
			for _, want := range strings.Split(test.want, "|") {
				found = found || strings.Contains(a.reason(), want)
			}
			if a.ok() || !found {
				t.Errorf("%+v: %s, want %s", a, a.reason(), test.want)
			}
			if a.Took > 10*time.Second {
				t.Errorf("took %v", a.Took)
			}
		})
	}
}

// TestEndlessAnswer: of an answer of any length little is read, and less is kept.
func TestEndlessAnswer(t *testing.T) {
	var sent atomic.Int64
	ended := make(chan struct{})
	r := quietly(t, false, func(w http.ResponseWriter, q *http.Request) {
		defer close(ended)
		_, _ = io.ReadAll(q.Body)
		for chunk := bytes.Repeat([]byte("é"), 1<<15); ; {
			n, err := w.Write(chunk)
			if sent.Add(int64(n)); err != nil || sent.Load() > 100<<20 {
				return
			}
		}
	})
	a := try(t, newTestSender(t, true, nil), hub.Webhook{URL: r.URL})
	<-ended
	if !a.ok() || len(a.Answer) > shownAnswer+3 || sent.Load() > 50<<20 {
		t.Errorf("ok %v, %d bytes are kept of %d that were sent", a.ok(), len(a.Answer), sent.Load())
	}
}

// TestCertificates: an unknown one is refused, and an authority can be added.
func TestCertificates(t *testing.T) {
	r := quietly(t, true, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if a := try(t, newTestSender(t, true, nil), hub.Webhook{URL: r.URL}); a.ok() || !strings.Contains(a.Error, "certificate") {
		t.Errorf("a certificate of nobody: %+v", a)
	}
	roots := x509.NewCertPool()
	roots.AddCert(r.Certificate())
	s := newTestSender(t, true, roots)
	if a := try(t, s, hub.Webhook{URL: r.URL}); !a.ok() {
		t.Errorf("a certificate of a known authority: %+v", a)
	}
	_, port, _ := net.SplitHostPort(r.Listener.Addr().String())
	if a := try(t, s, hub.Webhook{URL: "https://localhost:" + port}); a.ok() || !strings.Contains(a.Error, "localhost") {
		t.Errorf("a certificate for another name: %+v", a)
	}
}

// TestPrivateAddresses: no request leaves for them, whatever name stands for one.
func TestPrivateAddresses(t *testing.T) {
	r := quietly(t, false, func(http.ResponseWriter, *http.Request) { t.Error("a request came") })
	_, port, _ := net.SplitHostPort(r.Listener.Addr().String())
	s := newTestSender(t, false, nil)
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0"} {
		a := try(t, s, hub.Webhook{URL: "http://" + host + ":" + port})
		if a.ok() || a.Status != 0 || a.Error == "" {
			t.Errorf("%s: %+v", host, a)
		}
	}
	if a := try(t, s, hub.Webhook{URL: "http://localhost:" + port}); !strings.Contains(a.Error, "webhooks_allow_private") {
		t.Errorf("an operator is told %s", a.Error)
	}
	for address, may := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1::1": true, "8.8.8.8": true,
		"127.0.0.1": false, "127.9.9.9": false, "10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "224.0.0.1": false, "255.255.255.255": false, "192.0.0.8": false, "198.18.0.1": false, "240.0.0.1": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false,
		"::ffff:10.0.0.1": false, "::ffff:8.8.8.8": true, "64:ff9b::a00:1": false, "2002:a00:1::": false, "fec0::1": false,
	} {
		if err := mayCall(net.JoinHostPort(address, "80")); (err == nil) != may {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestBackoffIsBounded: a pause is never nothing, never too long, and not always the same.
func TestBackoffIsBounded(t *testing.T) {
	seen := make(map[time.Duration]bool)
	for tries := 1; tries < 100; tries++ {
		d := backoff(tries)
		seen[d] = true
		if d < firstPause/2 || d > mostPause*3/2 {
			t.Errorf("after %d tries %v", tries, d)
		}
	}
	if len(seen) < 90 {
		t.Errorf("%d pauses in 99 tries", len(seen))
	}
}
