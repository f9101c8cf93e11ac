//go:build conformance

package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	leakRounds      = 20_000
	leakConcurrency = 100

	// goroutineSlack allows for what serves the measurement itself.
	goroutineSlack = 10

	// heapSlack is what the live heap may grow by, in bytes. It stands for less
	// than 110 bytes a round: forgetting anything about a connection or its
	// channel costs more.
	heapSlack = 2 << 20
)

// TestNothingLeaks has clients come, subscribe and leave 20,000 times, in every
// way a client can leave, and requires that goroutines, live heap and occupied
// channels are back where they were.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	binary, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	s := startBinary(t, binary, "CHANNELS_APP_MAX_PRESENCE_MEMBERS=1000")

	// Once with as many connections, so that what grows once has grown.
	comeAndGo(t, s, 0, 2*leakConcurrency)
	awaitEmpty(t, s)
	goroutinesBefore, heapBefore := goroutines(t, s), liveHeap(t, s)

	begin := time.Now()
	comeAndGo(t, s, 2*leakConcurrency, leakRounds)
	t.Logf("%d rounds in %v", leakRounds, time.Since(begin))

	awaitEmpty(t, s)
	eventually(t, fmt.Sprintf("at most %d goroutines", goroutinesBefore+goroutineSlack), func() (string, bool) {
		n := goroutines(t, s)
		return fmt.Sprint(n), n <= goroutinesBefore+goroutineSlack
	})
	eventually(t, fmt.Sprintf("a live heap of at most %d bytes", heapBefore+heapSlack), func() (string, bool) {
		n := liveHeap(t, s)
		return fmt.Sprint(n), n <= heapBefore+heapSlack
	})
	t.Logf("goroutines: %d before, %d after; live heap: %d KiB before, %d KiB after",
		goroutinesBefore, goroutines(t, s), heapBefore>>10, liveHeap(t, s)>>10)
}

// awaitEmpty waits until the server knows that everybody left.
func awaitEmpty(t testing.TB, s *server) {
	t.Helper()
	eventually(t, "no occupied channels", func() (string, bool) {
		_, body := get(t, s, channelsPath, nil)
		return fmt.Sprintf("%.200s", body), strings.TrimSpace(body) == `{"channels":{}}`
	})
}

// comeAndGo runs the rounds first to first+n-1, some at a time.
func comeAndGo(t testing.TB, s *server, first, n int) {
	t.Helper()
	var next atomic.Int64
	next.Store(int64(first))
	var workers sync.WaitGroup
	errs := make(chan error, leakConcurrency)
	for range leakConcurrency {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < first+n; i = int(next.Add(1)) - 1 {
				if err := visit(s.Addr, i); err != nil {
					errs <- fmt.Errorf("round %d: %w", i, err)
					return
				}
			}
		})
	}
	workers.Wait()
	close(errs)
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
}

// visit connects from one of several loopback addresses, as one has not enough
// ports, subscribes, and leaves.
func visit(addr string, i int) error {
	dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%19))}}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, upgradeRequest); err != nil {
		return err
	}
	w := &wire{tcp: conn.(*net.TCPConn), conn: conn, in: bufio.NewReaderSize(conn, 512)}
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("upgrade: %s", res.Status)
	}
	if err := w.visitChannel(i); err != nil {
		return err
	}
	return w.leave(i)
}

var socketIDField = regexp.MustCompile(`socket_id\\":\\"([0-9.]+)`)

// visitChannel subscribes to a channel that nobody else ever has, or joins a
// presence channel that everybody shares as a user that nobody else is.
func (w *wire) visitChannel(i int) error {
	_, established, err := w.read()
	if err != nil {
		return err
	}
	id := socketIDField.FindSubmatch(established)
	if id == nil {
		return fmt.Errorf("first frame: %s", established)
	}
	channel, data := fmt.Sprint("leak-", i), ""
	switch i % 3 {
	case 1:
		channel = fmt.Sprint("private-leak-", i)
	case 2:
		channel, data = "presence-leak", fmt.Sprintf(`{"user_id":"%d","user_info":{"name":"somebody"}}`, i)
	}
	signer := client{SocketID: string(id[1])}
	if _, err := w.conn.Write(text(subscribeFrame(channel, signer.auth(channel, data), data)).bytes()); err != nil {
		return err
	}
	_, ack, err := w.read()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(ack), `{"event":"pusher_internal:subscription_succeeded"`) {
		return fmt.Errorf("subscribe to %s: %.300s", channel, ack)
	}
	return nil
}

// leave ends the connection with a closing handshake, with the end of the
// stream, with a reset, or after unsubscribing by word.
func (w *wire) leave(i int) error {
	switch i / 3 % 4 {
	case 0:
		if _, err := w.conn.Write(wireFrame{Opcode: opClose, Payload: "\x03\xe8"}.bytes()); err != nil {
			return err
		}
		for {
			opcode, _, err := w.read()
			if err != nil || opcode == opClose {
				return err
			}
		}
	case 1:
		return nil
	case 2:
		return w.tcp.SetLinger(0)
	default:
		channel := []string{fmt.Sprint("leak-", i), fmt.Sprint("private-leak-", i), "presence-leak"}[i%3]
		_, err := w.conn.Write(text(`{"event":"pusher:unsubscribe","data":{"channel":` + quote(channel) + `}}`).bytes())
		return err
	}
}

var goroutineTotal = regexp.MustCompile(`goroutine profile: total (\d+)`)

func goroutines(t testing.TB, s *server) int {
	t.Helper()
	return profileNumber(t, s, "/debug/pprof/goroutine?debug=1", goroutineTotal)
}

var heapAlloc = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)

// liveHeap gives the bytes of reachable heap, after a collection.
func liveHeap(t testing.TB, s *server) int {
	t.Helper()
	return profileNumber(t, s, "/debug/pprof/heap?gc=1&debug=1", heapAlloc)
}

func profileNumber(t testing.TB, s *server, path string, number *regexp.Regexp) int {
	t.Helper()
	_, profile := s.opsGet(path)
	found := number.FindStringSubmatch(profile)
	if found == nil {
		t.Fatalf("GET %s: no %s in %.300q", path, number, profile)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
