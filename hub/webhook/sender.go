package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"channels/hub"
	"channels/protocol"
)

// Headers of a delivery.
const (
	keyHeader       = "X-Pusher-Key"
	signatureHeader = "X-Pusher-Signature"
	// deliveryHeader has the same value for each try of a delivery, so that a receiver can
	// tell repeats.
	deliveryHeader = "X-Channels-Delivery"
)

// ReservedHeaders cannot be set for an endpoint.
func ReservedHeaders() []string {
	return []string{keyHeader, signatureHeader, deliveryHeader, "Content-Type", "Content-Length", "Host", "Transfer-Encoding", "Connection"}
}

const (
	// DefaultTimeout is how long an endpoint may take to answer.
	DefaultTimeout = 4 * time.Second
	// maxAnswer is how much of an answer is read, and shownAnswer how much of it is kept.
	maxAnswer   = 64 << 10
	shownAnswer = 200
	// firstPause is between the first and the second try; it doubles up to mostPause.
	firstPause = time.Second
	mostPause  = time.Minute
)

// backoff is the pause after a try, which differs so that receivers that come back are not
// overrun.
func backoff(tries int) time.Duration {
	pause := mostPause
	if tries < 8 {
		pause = min(firstPause<<(tries-1), mostPause)
	}
	return pause/2 + time.Duration(rand.Int64N(int64(pause))) //nolint:gosec // not for secrecy
}

// sender makes requests to endpoints.
type sender struct {
	client  *http.Client
	running sync.WaitGroup
	closing chan struct{}
}

// errRefused is for addresses that strangers must not have this server call.
var errRefused = errors.New("is an address of this machine or of a private network, which webhooks_allow_private permits")

func newSender(allowPrivate bool, roots *x509.CertPool) *sender {
	dialer := &net.Dialer{Timeout: DefaultTimeout}
	if !allowPrivate {
		// After the name was resolved, so that no name stands for such an address.
		dialer.Control = func(_, address string, _ syscall.RawConn) error { return mayCall(address) }
	}
	return &sender{
		closing: make(chan struct{}),
		client: &http.Client{
			Transport: &http.Transport{
				DialContext:            dialer.DialContext,
				TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout:    DefaultTimeout,
				MaxIdleConnsPerHost:    maxInFlight,
				IdleConnTimeout:        time.Minute,
				MaxResponseHeaderBytes: maxAnswer,
				DisableCompression:     true,
				ForceAttemptHTTP2:      true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// special are further networks that are not of the internet: of carriers, of protocols and
// benchmarks, and those that stand for IPv4 addresses.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

func mayCall(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsLoopback() ||
		slices.ContainsFunc(special, func(network netip.Prefix) bool { return network.Contains(ip) }) {
		return fmt.Errorf("%s %w", ip, errRefused)
	}
	return nil
}

// close returns when no request is under way.
func (s *sender) close() {
	close(s.closing)
	s.running.Wait()
	s.client.CloseIdleConnections()
}

// post makes one try.
func (s *sender) post(app *hub.App, w *hub.Webhook, p *parcel) Attempt {
	began := time.Now()
	a := Attempt{ID: p.ID, URL: shownURL(p.URL), At: began, Events: len(p.Members)}
	timeout := w.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	status, answer, err := s.request(ctx, app, w, p)
	a.Took, a.Status, a.Answer = time.Since(began), status, answer
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		a.Error = fmt.Sprintf("no answer within %v", timeout)
	case err != nil:
		a.Error = errorOf(err)
	}
	return a
}

func (s *sender) request(ctx context.Context, app *hub.App, w *hub.Webhook, p *parcel) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(p.Body))
	if err != nil {
		return 0, "", err
	}
	for name, value := range w.Headers {
		r.Header.Set(name, value)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "channels-webhook")
	r.Header.Set(keyHeader, app.Key)
	r.Header.Set(signatureHeader, protocol.Sign(oldestSecret(app), string(p.Body)))
	r.Header.Set(deliveryHeader, p.ID)
	answer, err := s.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil && answer.StatusCode/100 == 2 {
		err = nil // it has been taken; what it says about it does not matter
	}
	return answer.StatusCode, beginning(text), err
}

// oldestSecret signs while an app has several: receivers get to know the new one first.
func oldestSecret(app *hub.App) string {
	if n := len(app.OtherSecrets); n > 0 {
		return app.OtherSecrets[n-1]
	}
	return app.Secret
}

// beginning is what an operator is shown of an answer.
func beginning(text []byte) string {
	if len(text) > shownAnswer {
		text = text[:shownAnswer]
	}
	return strings.ToValidUTF8(string(text), "�")
}

// errorOf is an error without the URL, which may hold a password.
func errorOf(err error) string {
	if of := (*url.Error)(nil); errors.As(err, &of) {
		err = of.Err
	}
	return err.Error()
}

// shownURL is a URL without what may be secret.
func shownURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "a URL that cannot be read"
	}
	u.User = nil
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.String()
}
