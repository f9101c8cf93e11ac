package redisbus_test

import (
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy stands between nodes and a Redis, and can be cut.
type proxy struct {
	listener net.Listener
	closed   atomic.Bool                       // for new connections
	delay    atomic.Int64                      // of what passes, in ns
	refuses  atomic.Pointer[func([]byte) bool] // what a node may not say
	trouble  *trouble                          // what befalls single nodes; nil = nothing
	still    sync.RWMutex                      // held while nothing passes

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	p := listenAsProxy(t)
	p.serve(to)
	return p
}

// listenAsProxy returns a proxy that has a port, and takes connections later.
func listenAsProxy(t testing.TB) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l}
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	return p
}

func (p *proxy) serve(to string) { go p.run(to) }

func (p *proxy) host() string { return p.listener.Addr().String() }

func (p *proxy) port() string { return strconv.Itoa(p.listener.Addr().(*net.TCPAddr).Port) }

func (p *proxy) url() string { return "redis://" + p.host() }

func (p *proxy) run(to string) {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil || p.closed.Load() {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		l := p.trouble.link(in, out)
		go p.carry(in, out, l, true)
		go p.carry(out, in, l, false)
	}
}

func (p *proxy) carry(from, to net.Conn, l *link, request bool) {
	defer func() { _ = from.Close(); _ = to.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if refuses := p.refuses.Load(); err != nil || request && refuses != nil && (*refuses)(buffer[:n]) {
			return
		}
		time.Sleep(time.Duration(p.delay.Load()))
		if request {
			l.identify(buffer[:n])
		}
		if !l.passes(request) {
			return
		}
		p.still.RLock()   // waits for as long as nothing passes
		p.still.RUnlock() //nolint:staticcheck // there is nothing to be guarded
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// cut ends all connections, and takes no more.
func (p *proxy) cut() {
	p.closed.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) mend() { p.closed.Store(false) }
