package server_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// subscribeTo is a client's subscribe.
func subscribeTo(channel string) string {
	return fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q}}`, channel)
}

// beat is time enough for the server to read what was written, most of the time.
// No outcome depends on it.
const beat = 300 * time.Microsecond

// everyKind is a client's stream with all that can follow one another in it, and
// what answers it.
func everyKind(w way) (stream []byte, answers []string) {
	split := w.pieces(subscribeTo("fragments"))
	for _, piece := range [][]byte{
		w.text(subscribeTo("first")),
		masked(0x80|opPing, "one"),
		masked(0x80|opPing, ""),
		split[0],
		masked(0x80|opPing, "between fragments"),
		split[1],
		masked(0x80|opPong, ""),
		split[2],
		masked(0x80|opPong, "unasked"),
		w.text(subscribeTo("second")),
		w.text(`{"event":"pusher:ping","data":{"long":"` + strings.Repeat("l", 200) + `"}}`),
		masked(0x80|opPing, strings.Repeat("p", 125)),
		w.text(subscribeTo("last")),
	} {
		stream = append(stream, piece...)
	}
	return stream, []string{
		"first", "one", "between fragments", "fragments", "second", "pusher:pong", strings.Repeat("p", 125), "last",
	}
}

// expectAnswers reads the answers, in any order: control frames overtake.
func (c *rawClient) expectAnswers(answers []string) {
	c.t.Helper()
	var got strings.Builder
	for range len(answers) + 1 { // and that to the empty ping
		op, payload, err := c.frame()
		if err != nil {
			c.t.Fatalf("after %s: %v", got.String(), err)
		}
		fmt.Fprintf(&got, "%d %s\n", op, payload)
	}
	for _, want := range append(slices.Clip(answers), "10 \n") {
		if !strings.Contains(got.String(), want) {
			c.t.Fatalf("no answer has %q:\n%s", want, got.String())
		}
	}
}

func TestEveryKindOfFrame(t *testing.T) {
	overEach(t, nil, func(t *testing.T, r *rig) {
		stream, answers := everyKind(r.over)
		cut := func(t *testing.T, at ...int) {
			t.Helper()
			c := r.raw(nil)
			defer c.tcp.Close()
			c.expect(opText, "pusher:connection_established")
			from := 0
			for _, to := range append(at, len(stream)) {
				c.write(stream[from:to])
				from = to
				time.Sleep(beat)
			}
			c.expectAnswers(answers)
		}
		t.Run("in one piece", func(t *testing.T) { cut(t) })
		t.Run("cut anywhere", func(t *testing.T) {
			step := 1
			if r.over != ways[0] {
				step = 9 // in time: each cut takes a handshake
			}
			for at := 1; at < len(stream); at += step {
				cut(t, at)
			}
		})
		t.Run("byte by byte", func(t *testing.T) {
			var all []int
			for at := 1; at < len(stream); at++ {
				all = append(all, at)
			}
			cut(t, all...)
		})
		t.Run("behind the handshake", func(t *testing.T) {
			for at := 0; at <= len(stream); at += 9 {
				c := r.raw(stream[:at])
				c.write(stream[at:])
				c.expectAnswers(append(slices.Clip(answers), "pusher:connection_established"))
				_ = c.tcp.Close()
			}
		})
	})
}

func TestLargeMessages(t *testing.T) {
	overEach(t, nil, func(t *testing.T, r *rig) {
		c := r.raw(nil)
		c.expect(opText, "pusher:connection_established")
		for _, size := range []int{125, 126, 16 << 10, 32<<10 - 50, 32 << 10, 60_000} {
			ping := c.text(`{"event":"pusher:ping","data":{"x":"` + randomText(size) + `"}}`)
			c.write(append(slices.Clip(ping), ping...))
			c.expect(opText, "pusher:pong")
			c.expect(opText, "pusher:pong")
		}
	})
}

// TestPeersThatLeave has clients end their side at every kind of moment.
func TestPeersThatLeave(t *testing.T) {
	overEach(t, nil, func(t *testing.T, r *rig) {
		whole, split := r.over.text(subscribeNews), r.over.pieces(subscribeNews)
		for name, sent := range map[string][]byte{
			"in silence":            nil,
			"in a header":           whole[:1],
			"in a mask":             whole[:5],
			"in a message":          whole[:20],
			"in a ping":             masked(0x80|opPing, "ping")[:7],
			"between fragments":     split[0],
			"behind a message":      whole,
			"behind half a second":  append(append([]byte(nil), whole...), whole[:20]...),
			"behind a close frame":  masked(0x80|opClose, "\x03\xe8"),
			"in a close frame":      masked(0x80|opClose, "\x03\xe8")[:7],
			"behind a broken frame": masked(0x80|5, "x"),
		} {
			for how, leave := range map[string]func(*rawClient){
				"closes":      func(c *rawClient) { _ = c.conn.Close() },
				"drops":       func(c *rawClient) { _ = c.tcp.Close() },
				"half-closes": func(c *rawClient) { _ = c.conn.(interface{ CloseWrite() error }).CloseWrite() },
				"resets":      func(c *rawClient) { _ = c.tcp.SetLinger(0); _ = c.tcp.Close() },
			} {
				t.Run(how+" "+name, func(t *testing.T) {
					c := r.raw(nil)
					c.expect(opText, "pusher:connection_established")
					c.write(sent)
					time.Sleep(beat)
					leave(c)
					waitFor(t, "the connection to be gone", func() bool { return r.hub.Connections() == 0 })
					if how == "half-closes" {
						if _, err := io.Copy(io.Discard, c.r); err != nil && !errors.Is(err, syscall.ECONNRESET) {
							t.Errorf("read to the end: %v", err)
						}
					}
				})
			}
		}
	})
}

// TestDescriptorsReused opens and closes connections so fast that descriptors
// come again at once. Everybody gets their own data, and all of it.
func TestDescriptorsReused(t *testing.T) { overBoth(t, nil, descriptorsReused) }

func descriptorsReused(t *testing.T, r *rig) {
	const people = 8
	rounds := 60
	if r.over.tls {
		rounds = 20 // a handshake takes its time
	}
	var all sync.WaitGroup
	for person := range people {
		all.Go(func() {
			for round := range rounds {
				if err := r.oneVisit(fmt.Sprintf("visit-%d-%d-", person, round), round); err != nil {
					t.Errorf("visit %d of %d: %v", round, person, err)
					return
				}
			}
		})
	}
	all.Wait()
	waitFor(t, "all connections to be gone", func() bool { return r.hub.Connections() == 0 })
}

// oneVisit subscribes to a channel of its own, gets events and pongs, and leaves
// in one of several ways.
func (r *rig) oneVisit(own string, round int) error {
	c, err := r.rawDial()
	if err != nil {
		return err
	}
	defer c.tcp.Close()
	conn := c.conn
	if err := c.upgrade(c.text(subscribeTo(own))); err != nil {
		return err
	}
	expect := func(part string) error {
		_, payload, err := c.frame()
		if err == nil && !strings.Contains(string(payload), part) {
			err = fmt.Errorf("got %q, want %q", payload, part)
		}
		return err
	}
	if err := errors.Join(expect("connection_established"), expect(own)); err != nil {
		return err
	}
	for i := range 3 {
		r.trigger(own, fmt.Sprint(own, i), "x")
		if err := expect(fmt.Sprint(own, i)); err != nil {
			return err
		}
		if _, err := conn.Write(masked(0x80|opPing, own)); err != nil {
			return err
		}
		if err := expect(own); err != nil {
			return err
		}
	}
	switch round % 4 {
	case 0:
		_, err = conn.Write(masked(0x80|opClose, "\x03\xe8"))
	case 1:
		err = c.tcp.SetLinger(0)
	case 2:
		_, err = conn.Write(c.text(subscribeNews)[:9])
	}
	return err
}

// TestLiveness has the server ping the silent, again only after they answered.
func TestLiveness(t *testing.T) {
	overBoth(t, func(a *hub.App) { a.ActivityTimeout = 200 * time.Millisecond }, func(t *testing.T, r *rig) {
		c := r.raw(nil)
		c.expect(opText, "pusher:connection_established")
		for range 3 {
			c.expect(opPing, "")
			c.write(masked(0x80|opPong, ""))
		}
	})
}

func TestDrainOfIdleSockets(t *testing.T) {
	overEach(t, nil, func(t *testing.T, r *rig) {
		clients := make([]*rawClient, 100)
		for i := range clients {
			clients[i] = r.raw(nil)
			clients[i].expect(opText, "pusher:connection_established")
		}
		if err := r.hub.Drain(t.Context(), protocol.Reconnect(), 0); err != nil {
			t.Fatal(err)
		}
		for _, c := range clients {
			c.expect(opText, "pusher:error")
			c.expect(opClose, "")
			c.write(masked(0x80|opClose, "\x10\x68"))
			if _, err := c.r.ReadByte(); err != io.EOF {
				t.Fatalf("after the close frame: %v, want EOF", err)
			}
			_ = c.tcp.Close()
		}
		if err := r.carrier.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestSilentPeersAreClosed has the server close sockets whose peers do not say
// another word.
func TestSilentPeersAreClosed(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, r *rig) {
		c := r.raw(nil)
		c.expect(opText, "pusher:connection_established")
		if err := r.hub.Drain(t.Context(), protocol.Reconnect(), 0); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := r.carrier.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 2*time.Second || took > 5*time.Second {
			t.Errorf("closed after %v, want 3 s", took)
		}
	})
}

func TestIdleSocketsHoldNoGoroutines(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, r *rig) {
		const idle = 500
		for range idle {
			c := r.raw(r.over.text(subscribeNews))
			c.expect(opText, "pusher:connection_established")
			c.expect(opText, "subscription_succeeded")
			c.write(c.text(subscribeTo("half"))[:9]) // half a message needs none either
		}
		most := runtime.GOMAXPROCS(0) + 20
		if readersOf() == goroutineReaders || runtime.GOOS != "linux" {
			most += idle
		}
		waitFor(t, fmt.Sprintf("at most %d goroutines", most), func() bool { return runtime.NumGoroutine() <= most })
		r.trigger("news", "event", "x")
	})
}
