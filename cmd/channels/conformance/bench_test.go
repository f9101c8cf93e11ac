//go:build conformance

package conformance

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The benchmarks measure the built server from outside. They are run one by one,
// on a machine that does nothing else; docs/benchmarks.md has the commands.

// benchServer starts the server on the first processor, and leaves the others to
// the benchmark.
func benchServer(b *testing.B) *server {
	b.Helper()
	binary, err := plainBinary()
	if err != nil {
		b.Fatal(err)
	}
	s := startBinary(b, binary, "GOMAXPROCS=1")
	pid := strconv.Itoa(s.cmd.Process.Pid)
	if out, err := exec.Command("taskset", "-a", "-p", "1", pid).CombinedOutput(); err != nil {
		b.Fatalf("taskset: %v: %s", err, out)
	}
	return s
}

// idleConnections is how many connections are opened for their memory.
const idleConnections = 10_000

// BenchmarkIdleMemory reports what an idle subscribed connection costs in
// resident memory, a minute after the last has subscribed.
func BenchmarkIdleMemory(b *testing.B) {
	for range b.N {
		s := benchServer(b)
		before := resident(b, s)
		held := make([]net.Conn, idleConnections)
		var all sync.WaitGroup
		var next atomic.Int64
		for range 50 {
			all.Go(func() {
				for i := next.Add(1) - 1; i < idleConnections; i = next.Add(1) - 1 {
					w, err := subscribed(s.Addr, int(i), "my-channel")
					if err != nil {
						b.Error(err)
						return
					}
					held[i] = w.conn
				}
			})
		}
		all.Wait()
		time.Sleep(time.Minute)
		b.ReportMetric(float64(resident(b, s)-before)/idleConnections/1024, "KiB/conn")
		for _, conn := range held {
			if conn != nil {
				_ = conn.Close()
			}
		}
	}
}

// subscribed opens a connection from one of several loopback addresses.
func subscribed(addr string, i int, channel string) (*wire, error) {
	dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%19))}}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, upgradeRequest); err != nil {
		return nil, err
	}
	w := &wire{tcp: conn.(*net.TCPConn), conn: conn, in: bufio.NewReaderSize(conn, 512)}
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
	if _, err := w.conn.Write(text(subscribeFrame(channel, "", "")).bytes()); err != nil {
		return nil, err
	}
	_, ack, err := w.read()
	if err == nil && !bytes.Contains(ack, []byte("subscription_succeeded")) {
		err = fmt.Errorf("acknowledgement: %s", ack)
	}
	return w, err
}

// publishers is how many REST clients publish at once, each on a connection that
// it keeps.
const publishers = 16

// BenchmarkPublish publishes signed events of 100 bytes to one subscriber, as
// fast as the server takes them, and waits until all have arrived.
func BenchmarkPublish(b *testing.B) {
	s := benchServer(b)
	w, err := subscribed(s.Addr, 0, "my-channel")
	if err != nil {
		b.Fatal(err)
	}
	defer w.conn.Close()
	arrived := make(chan error, 1)
	go func() {
		for range b.N {
			if _, _, err := w.read(); err != nil {
				arrived <- err
				return
			}
		}
		arrived <- nil
	}()
	request := publishRequest(s.Addr)
	cpuBefore := cpuTime(b, s)
	b.ResetTimer()
	var all sync.WaitGroup
	var next atomic.Int64
	for range publishers {
		all.Go(func() {
			if err := publishUntil(s.Addr, request, &next, int64(b.N)); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	if err := <-arrived; err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime(b, s)-cpuBefore).Microseconds())/float64(b.N), "server-µs/event")
}

// publishRequest is a whole signed request that publishes 100 bytes.
func publishRequest(addr string) []byte {
	body := fmt.Sprintf(`{"name":"my-event","channels":["my-channel"],"data":%q}`, strings.Repeat("x", 100))
	return fmt.Appendf(nil, "POST %s?%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		eventsPath, signedQuery(body), addr, len(body), body)
}

// signedQuery signs a publish, for as often as it is repeated.
func signedQuery(body string) string {
	sum := md5.Sum([]byte(body))
	query := map[string]string{
		"auth_key":       appKey,
		"auth_timestamp": strconv.FormatInt(time.Now().Unix(), 10),
		"auth_version":   "1.0",
		"body_md5":       hex.EncodeToString(sum[:]),
	}
	signature := sign(appSecret, http.MethodPost+"\n"+eventsPath+"\n"+joined(query))
	return joined(query) + "&auth_signature=" + signature
}

func publishUntil(addr string, request []byte, next *atomic.Int64, n int64) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	buf := make([]byte, 4<<10)
	for next.Add(1) <= n {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		got, err := conn.Read(buf)
		if err != nil {
			return err
		}
		if answer := string(buf[:got]); !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.HasSuffix(answer, "\r\n\r\n{}") {
			return fmt.Errorf("answer: %s", answer)
		}
	}
	return nil
}

// resident returns the server's resident memory, in bytes.
func resident(t testing.TB, s *server) int {
	t.Helper()
	fields := strings.Fields(procFile(t, s, "statm"))
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// cpuTime returns the processor time that the server has used.
func cpuTime(t testing.TB, s *server) time.Duration {
	t.Helper()
	stat := procFile(t, s, "stat")
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	var ticks int
	for _, field := range fields[11:13] { // user and system time
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	const tick = 10 * time.Millisecond
	return time.Duration(ticks) * tick
}

func procFile(t testing.TB, s *server, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.cmd.Process.Pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fanOutSubscribers is how many sockets get every event of BenchmarkFanOut.
const fanOutSubscribers = 1000

// BenchmarkFanOut publishes events of 100 bytes to 1,000 subscribers of one
// channel, as fast as the server takes them, and waits until all have arrived.
func BenchmarkFanOut(b *testing.B) {
	s := benchServer(b)
	var all sync.WaitGroup
	for i := range fanOutSubscribers {
		w, err := subscribed(s.Addr, i, "my-channel")
		if err != nil {
			b.Fatal(err)
		}
		defer w.conn.Close()
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
			if err := publishUntil(s.Addr, request, &next, int64(b.N)); err != nil {
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

// discard reads n frames, of which it looks at no more than their length.
func (w *wire) discard(n int) error {
	in := bufio.NewReaderSize(w.in, 32<<10)
	for range n {
		head, err := in.Peek(4)
		if err != nil {
			return err
		}
		size := 2 + int(head[1])
		if head[1] == 126 {
			size = 4 + int(head[2])<<8 + int(head[3])
		}
		if _, err := in.Discard(size); err != nil {
			return err
		}
	}
	return nil
}
