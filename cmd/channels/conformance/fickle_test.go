//go:build conformance && !goroutinereaders

package conformance

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// fickle is an address that passes connections on to nodes, in turn, until the test breaks
// them.
type fickle struct {
	listener net.Listener

	mu       sync.Mutex
	nodes    []string
	next     int
	passages map[*passage]bool
	muted    []*passage
}

// passage is a client's connection and the one to a node.
type passage struct {
	client, node *net.TCPConn
	mute         atomic.Bool // nothing passes any more, not even the end
}

func startFickle(t testing.TB, nodes ...*server) *fickle {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fickle{listener: l, passages: map[*passage]bool{}}
	for _, n := range nodes {
		f.nodes = append(f.nodes, n.Addr)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { f.pass(conn.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		for f.breakOne("RST") {
		}
		for _, p := range f.muted {
			p.reset()
		}
		running.Wait()
	})
	return f
}

// pass takes the next node that can be reached.
func (f *fickle) pass(client *net.TCPConn) {
	var node net.Conn
	f.mu.Lock()
	nodes, first := f.nodes, f.next
	f.next++
	f.mu.Unlock()
	for i := range nodes {
		if c, err := net.Dial("tcp", nodes[(first+i)%len(nodes)]); err == nil {
			node = c
			break
		}
	}
	if node == nil {
		_ = client.Close()
		return
	}
	p := &passage{client: client, node: node.(*net.TCPConn)}
	f.mu.Lock()
	f.passages[p] = true
	f.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(p.node, p.client) })
	both.Go(func() { p.copy(p.client, p.node) })
	both.Wait()
	f.forget(p)
}

func (f *fickle) forget(p *passage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.passages, p)
}

// copy passes on what comes, and then the end.
func (p *passage) copy(to, from *net.TCPConn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !p.mute.Load() {
			if _, bad := to.Write(buf[:n]); bad != nil {
				err = bad
			}
		}
		switch {
		case err == nil:
			continue
		case p.mute.Load():
		case err == io.EOF:
			_ = to.CloseWrite()
		default:
			_ = to.Close()
		}
		return
	}
}

// breakOne breaks one connection: RST, FIN, or half-open, which lets nothing through any
// more. false: there is none.
func (f *fickle) breakOne(how string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*passage
	for p := range f.passages {
		all = append(all, p)
	}
	if len(all) == 0 {
		return false
	}
	p := all[rand.IntN(len(all))]
	delete(f.passages, p)
	switch how {
	case "half-open":
		p.mute.Store(true)
		f.muted = append(f.muted, p)
		return true
	case "FIN":
		_ = p.client.CloseWrite()
		_ = p.node.CloseWrite()
		return true
	}
	p.reset()
	return true
}

func (p *passage) reset() {
	for _, end := range []*net.TCPConn{p.client, p.node} {
		_ = end.SetLinger(0)
		_ = end.Close()
	}
}

func (f *fickle) serve(nodes ...*server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes = nil
	for _, n := range nodes {
		f.nodes = append(f.nodes, n.Addr)
	}
}
