package fallback

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"channels/hub"
	"channels/protocol"
)

// Peers are the nodes of a cluster, each of which owns some of the sessions. A
// request that reaches another node is forwarded to the owner. Methods may be
// called from any goroutine. An address is the URL of a node's public listener.
type Peers interface {
	// Claim makes this node the owner of a session, unless another one is, whose
	// address it then returns. A node that dies owns nothing after a while.
	Claim(ctx context.Context, session string) (owner string, err error)
	// Owner returns the address of another node that owns a session, "" when there
	// is none.
	Owner(ctx context.Context, session string) (string, error)
	// Release gives up a session that this node owns.
	Release(session string)
	// Key is what all nodes sign with what they forward, and nobody else knows.
	Key() []byte
}

// Exchange has the Peers of nodes in one process.
type Exchange struct {
	key []byte

	mu     sync.Mutex
	owners map[string]string // addresses by session
}

// NewExchange returns an Exchange of nodes that sign with a key.
func NewExchange(key []byte) *Exchange { return &Exchange{key: key, owners: make(map[string]string)} }

// Join returns the Peers of a node with an address.
func (e *Exchange) Join(address string) Peers { return member{e, address} }

type member struct {
	*Exchange
	address string
}

// Claim implements Peers.
func (m member) Claim(_ context.Context, session string) (owner string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if owner := m.owners[session]; owner != "" && owner != m.address {
		return owner, nil
	}
	m.owners[session] = m.address
	return "", nil
}

// Owner implements Peers.
func (m member) Owner(_ context.Context, session string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if owner := m.owners[session]; owner != m.address {
		return owner, nil
	}
	return "", nil
}

// Release implements Peers.
func (m member) Release(session string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owners[session] == m.address {
		delete(m.owners, session)
	}
}

// Key implements Peers.
func (m member) Key() []byte { return m.key }

// Limits of what is forwarded.
const (
	// peersTimeout is how long Peers may take for an answer.
	peersTimeout = 5 * time.Second
	// signedFor is for how long a signature holds, to either side, so that the
	// clocks of nodes may differ.
	signedFor = time.Minute
)

// forwardHeader carries the time and the signature of a forwarded request.
const forwardHeader = "Channels-Forwarded"

// claim makes this node the owner of a session. Without an answer it is served
// here: without stickiness the client connects again in vain, but with it all is
// well.
func (t *Transport) claim(ctx context.Context, route Route) (owner string) {
	return t.ask(ctx, route, t.peers.Claim)
}

func (t *Transport) owner(ctx context.Context, route Route) string {
	return t.ask(ctx, route, t.peers.Owner)
}

func (t *Transport) ask(ctx context.Context, route Route, question func(context.Context, string) (string, error)) string {
	ctx, cancel := context.WithTimeout(ctx, peersTimeout)
	defer cancel()
	owner, err := question(ctx, route.id())
	if err != nil && !errors.Is(err, context.Canceled) {
		t.log.Warn("the owner of an HTTP session is not known", "error", err)
	}
	return owner
}

// sign returns what the forward header says of a request.
func (t *Transport) sign(r *http.Request, now time.Time) string {
	at := strconv.FormatInt(now.Unix(), 10)
	return at + " " + hex.EncodeToString(t.mac(r, at))
}

func (t *Transport) mac(r *http.Request, at string) []byte {
	h := hmac.New(sha256.New, t.peers.Key())
	_, _ = h.Write([]byte(at + "\n" + r.Method + "\n" + r.URL.RequestURI())) // a hash takes everything
	return h.Sum(nil)
}

// verify says whether another node has forwarded a request.
func (t *Transport) verify(r *http.Request) bool {
	if t.peers == nil {
		return false
	}
	at, signature, _ := strings.Cut(r.Header.Get(forwardHeader), " ")
	unix, err := strconv.ParseInt(at, 10, 64)
	if err != nil || time.Since(time.Unix(unix, 0)).Abs() > signedFor {
		return false
	}
	got, err := hex.DecodeString(signature)
	return err == nil && hmac.Equal(got, t.mac(r, at))
}

// errGone is what an owner makes of a request for a session that it does not have.
var errGone = errors.New("the owner does not have the session any more")

// forward has the owner of a session answer a request. A session whose owner does
// not answer, or does not have it any more, ends.
func (t *Transport) forward(w http.ResponseWriter, r *http.Request, route Route, owner string) {
	to, err := url.Parse(owner)
	if err != nil {
		t.orphaned(w, route, err)
		return
	}
	control := http.NewResponseController(w)
	noReadDeadline(control)
	own := w.Header().Clone() // those that the owner sends as well would be there twice
	clear(w.Header())
	proxy := httputil.ReverseProxy{
		Transport:     t.peerTransport,
		FlushInterval: -1, // at once
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = to.Scheme, to.Host
			p.Out.Host = p.In.Host
			p.Out.Header.Set(forwardHeader, t.sign(p.Out, time.Now()))
		},
		ModifyResponse: func(res *http.Response) error {
			if res.StatusCode == http.StatusGone {
				return errGone
			}
			if res.StatusCode == http.StatusOK {
				res.Body = &forwarded{ReadCloser: res.Body, last: lastLine(route.Kind), whole: true}
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			for name, values := range own {
				w.Header()[name] = values
			}
			t.orphaned(w, route, err)
		},
	}
	proxy.ServeHTTP(timedWriter{w, control}, r)
}

// orphaned ends a session whose owner cannot be asked.
func (t *Transport) orphaned(w http.ResponseWriter, route Route, err error) {
	t.log.Debug("an HTTP session has lost its node", "error", err)
	if route.Kind == Sending {
		unknown(w)
		return
	}
	t.hub.CountClose(protocol.Reconnect(), hub.Disconnected)
	_, _ = w.Write(lastLine(route.Kind)) // nothing is left to do
}

// lastLine closes a session that has lost its node.
func lastLine(kind Kind) []byte {
	f := protocol.Reconnect()
	o := response{kind: kind}
	return o.append(nil, protocol.AppendHTTPClose(nil, f.Code, f.Message))
}

// forwarded is an answer that ends with a close frame when the node that gives it
// dies, unless that is in the middle of a line.
type forwarded struct {
	io.ReadCloser
	last  []byte
	whole bool // the last byte that was read ends a line
	dead  bool // last is read
}

// Read implements io.Reader.
func (f *forwarded) Read(b []byte) (int, error) {
	if f.dead {
		n := copy(b, f.last)
		if f.last = f.last[n:]; n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	n, err := f.ReadCloser.Read(b)
	if n > 0 {
		f.whole = b[n-1] == '\n'
	}
	if err != nil && err != io.EOF && f.whole { //nolint:errorlint // readers return it as it is
		f.dead, err = true, nil
	}
	return n, err
}

// timedWriter limits how long the client may take for each write.
type timedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements http.ResponseWriter.
func (w timedWriter) Write(b []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // where there are none, writes do not block
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
