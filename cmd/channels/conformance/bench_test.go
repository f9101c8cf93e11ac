//go:build conformance

package conformance

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/tls"
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
func benchServer(b *testing.B, k kind, settings ...string) *server {
	b.Helper()
	binary, err := plainBinary()
	if err != nil {
		b.Fatal(err)
	}
	s := k.startBinary(b, binary, append(settings, "GOMAXPROCS=1")...)
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
		s := benchServer(b, plain)
		before := resident(b, s)
		held := holdMany(b, s, idleConnections, "my-channel")
		time.Sleep(time.Minute)
		b.ReportMetric(float64(resident(b, s)-before)/idleConnections/1024, "KiB/conn")
		closeAll(held)
	}
}

// holdMany opens connections, some at a time, that are subscribed to a channel.
func holdMany(t testing.TB, s *server, n int, channel string) []*wire {
	t.Helper()
	held := make([]*wire, n)
	inParallel(t, n, func(i int) (err error) {
		held[i], err = s.subscribed(i, channel)
		return err
	})
	return held
}

func closeAll(wires []*wire) {
	for _, w := range wires {
		_ = w.tcp.Close()
	}
}

// inParallel calls do for 0 to n-1, some at a time.
func inParallel(t testing.TB, n int, do func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	var next atomic.Int64
	for range 50 {
		all.Go(func() {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				if err := do(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// dialFrom connects from one of several loopback addresses, as one has not enough
// ports, and speaks TLS where the server does.
func (s *server) dialFrom(i int) (tcp *net.TCPConn, conn net.Conn, err error) {
	dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%19))}}
	if conn, err = dialer.Dial("tcp", s.Addr); err != nil {
		return nil, nil, err
	}
	tcp = conn.(*net.TCPConn)
	if s.kind.tls {
		conn = tls.Client(conn, clientTLS(s.t))
	}
	return tcp, conn, nil
}

// subscribed opens the connection of that number.
func (s *server) subscribed(i int, channel string) (*wire, error) {
	tcp, conn, err := s.dialFrom(i)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, s.kind.request()); err != nil {
		return nil, err
	}
	w := &wire{t: s.t, tcp: tcp, conn: conn, in: bufio.NewReaderSize(conn, 512), deflating: s.kind.compressed}
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
	if _, err := w.conn.Write(w.encode(text(subscribeFrame(channel, "", "")))); err != nil {
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
	s := benchServer(b, plain)
	w, err := s.subscribed(0, "my-channel")
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
	cpuBefore := cpuTime(b, s)
	b.ResetTimer()
	publishMany(b, s, hundredBytes, b.N)
	if err := <-arrived; err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime(b, s)-cpuBefore).Microseconds())/float64(b.N), "server-µs/event")
}

// hundredBytes is the data of a small event.
var hundredBytes = strings.Repeat("x", 100)

// publishMany publishes n events, as fast as the server takes them.
func publishMany(b *testing.B, s *server, data string, n int) {
	b.Helper()
	request := publishRequest(b, s.Addr, data)
	var all sync.WaitGroup
	var next atomic.Int64
	for range publishers {
		all.Go(func() {
			if err := publishUntil(s, request, &next, int64(n)); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
}

// publishRequest is a whole signed request that publishes an event.
func publishRequest(t testing.TB, addr, data string) []byte {
	t.Helper()
	body := string(encode(t, event{Name: "my-event", Channels: []string{"my-channel"}, Data: data}))
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

func publishUntil(s *server, request []byte, next *atomic.Int64, n int64) error {
	_, conn, err := s.dialFrom(0)
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
	fanOut(b, benchServer(b, plain), hundredBytes)
}

// BenchmarkFanOutTLS is BenchmarkFanOut over TLS.
func BenchmarkFanOutTLS(b *testing.B) {
	fanOut(b, benchServer(b, overTLS), hundredBytes)
}

// BenchmarkFanOutCompressed publishes an event of 2 KiB, JSON of a real kind, to
// subscribers with and without compression.
func BenchmarkFanOutCompressed(b *testing.B) {
	data, err := os.ReadFile("../../../protocol/testdata/event-2k.json")
	if err != nil {
		b.Fatal(err)
	}
	for _, k := range []kind{plain, compressed} {
		b.Run(k.name, func(b *testing.B) { fanOut(b, benchServer(b, k), string(data)) })
	}
}

// fanOut delivers b.N events to all subscribers.
func fanOut(b *testing.B, s *server, data string) {
	b.Helper()
	var all sync.WaitGroup
	var wireBytes atomic.Int64
	held := holdMany(b, s, fanOutSubscribers, "my-channel")
	defer closeAll(held)
	for _, w := range held {
		all.Go(func() {
			n, err := w.discard(b.N)
			if err != nil {
				b.Error(err)
			}
			wireBytes.Add(n)
		})
	}
	cpuBefore := cpuTime(b, s)
	b.ResetTimer()
	publishMany(b, s, data, b.N)
	all.Wait()
	b.StopTimer()
	deliveries := float64(b.N) * fanOutSubscribers
	b.ReportMetric(deliveries/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64((cpuTime(b, s)-cpuBefore).Microseconds())/deliveries, "server-µs/delivery")
	b.ReportMetric(float64(wireBytes.Load())/deliveries, "wire-B/delivery")
}

// discard reads n frames, of which it looks at no more than their length, and
// gives their bytes.
func (w *wire) discard(n int) (bytes int64, err error) {
	in := bufio.NewReaderSize(w.in, 32<<10)
	for range n {
		size, err := discardFrame(in)
		if err != nil {
			return bytes, err
		}
		bytes += int64(size)
	}
	return bytes, nil
}

// discardFrame reads a frame of less than 64 KiB.
func discardFrame(in *bufio.Reader) (size int, err error) {
	head, err := in.Peek(4)
	if err != nil {
		return 0, err
	}
	size = 2 + int(head[1])
	if head[1] == 126 {
		size = 4 + int(head[2])<<8 + int(head[3])
	}
	if head[0] == 0x80|opClose {
		return 0, fmt.Errorf("closed with %x", head)
	}
	_, err = in.Discard(size)
	return size, err
}
