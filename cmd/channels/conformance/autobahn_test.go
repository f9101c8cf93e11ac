//go:build conformance && autobahn

package conformance

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestAutobahn has Autobahn's fuzzing client judge the server, each of its cases
// as a test. scripts/autobahn runs it.
//
// The suite wants an echo, which the server is not: an [echo] stands between. It
// changes nothing that the suite sends, and of what the server sends only texts.
func TestAutobahn(t *testing.T) {
	s := make(map[string]*echo)
	for _, k := range []kind{plain, overTLS} {
		s[k.name] = newEcho(t, k.start(t,
			"CHANNELS_APP_MAX_EVENT_BYTES=4MiB", // section 9 has messages of 16 MiB
			"CHANNELS_APP_COMMANDS_PER_SECOND=0"))
	}
	reports := t.TempDir()
	runSuite(t, reports, s)
	raw, err := os.ReadFile(filepath.Join(reports, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var verdicts map[string]map[string]verdict
	if err := json.Unmarshal(raw, &verdicts); err != nil {
		t.Fatal(err)
	}
	for agent := range s {
		t.Run(agent, func(t *testing.T) { judge(t, reports, verdicts[agent]) })
	}
}

// judge makes a test of each case.
func judge(t *testing.T, reports string, verdicts map[string]verdict) {
	if len(verdicts) == 0 {
		t.Fatal("the suite ran no case")
	}
	counts := make(map[string]int)
	for id, v := range verdicts {
		t.Run(id, func(t *testing.T) {
			result := v.result(t, reports)
			counts[result]++
			if result == failed {
				counts[failed+" of section "+strings.Split(id, ".")[0]]++
				t.Error(v.details(t, reports))
			}
		})
	}
	text, err := json.Marshal(counts)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cases: %s", len(verdicts), text)
}

// verdict is what the suite says of a case.
type verdict struct {
	Behavior      string `json:"behavior"`
	BehaviorClose string `json:"behaviorClose"`
	ReportFile    string `json:"reportfile"`
}

// The results of a case, beside those that the suite names.
const (
	failed = "FAILED"
	// refusedBinary is for the server's rule that there are no binary messages. It
	// closes with 1003, as RFC 6455 has it.
	refusedBinary = "binary, refused with 1003"
)

// result is what the suite says, or one of ours. NON-STRICT, INFORMATIONAL and
// UNIMPLEMENTED are not failures: the last is an offer of compression that the
// server may decline.
func (v verdict) result(t testing.TB, reports string) string {
	t.Helper()
	passed := []string{"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}
	if slices.Contains(passed, v.Behavior) && slices.Contains(passed, v.BehaviorClose) {
		return v.Behavior
	}
	if d := v.report(t, reports); d.RemoteCloseCode == 1003 && strings.Contains(strings.ToLower(d.RemoteCloseReason), "binary") {
		return refusedBinary
	}
	return failed
}

type report struct {
	Description       string `json:"description"`
	Result            string `json:"result"`
	RemoteCloseCode   int    `json:"remoteCloseCode"`
	RemoteCloseReason string `json:"remoteCloseReason"`
}

func (v verdict) report(t testing.TB, reports string) report {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(reports, v.ReportFile))
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func (v verdict) details(t testing.TB, reports string) string {
	t.Helper()
	r := v.report(t, reports)
	return fmt.Sprintf("%s; closing: %s; %.300s (%.300s); the server's close: %d %q",
		v.Behavior, v.BehaviorClose, r.Result, r.Description, r.RemoteCloseCode, r.RemoteCloseReason)
}

// runSuite runs the suite to its end, against each echo.
func runSuite(t *testing.T, reports string, echoes map[string]*echo) {
	t.Helper()
	type server struct {
		Agent string `json:"agent"`
		URL   string `json:"url"`
	}
	spec := map[string]any{
		"outdir": reports, "cases": strings.Fields(os.Getenv("AUTOBAHN_CASES")), "exclude-cases": []string{}, "exclude-agent-cases": struct{}{},
	}
	var servers []server
	for agent, e := range echoes {
		servers = append(servers, server{agent, "ws://" + e.listener.Addr().String()})
	}
	spec["servers"] = servers
	file := filepath.Join(t.TempDir(), "spec.json")
	if err := os.WriteFile(file, encode(t, spec), 0o600); err != nil {
		t.Fatal(err)
	}
	const start = `import sys; from autobahntestsuite import wstest; sys.argv = ["wstest", "-m", "fuzzingclient", "-s", sys.argv[1]]; wstest.run()`
	cmd := exec.Command(os.Getenv("AUTOBAHN_PYTHON"), "-c", start, file)
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), "PYTHONPATH="+os.Getenv("AUTOBAHN_SUITE"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("wstest: %v\n%s", err, out[max(0, len(out)-4000):])
	}
}

// echo stands between a client that wants an echo and a server that answers each
// text with a pusher:error. The error's place in the stream says that the server
// has read the text, so the echo takes that place.
type echo struct {
	t        testing.TB
	server   *server
	config   *tls.Config // nil for a plain server
	listener net.Listener
}

func newEcho(t testing.TB, s *server) *echo {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{t: t, server: s, listener: listener}
	if s.kind.tls {
		e.config = clientTLS(t)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { e.serve(client.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); all.Wait() })
	return e
}

// serve carries one connection until the server ends it.
func (e *echo) serve(client *net.TCPConn) {
	defer client.Close()
	server, err := e.dial()
	if err != nil {
		e.t.Errorf("the server of the echo: %v", err)
		return
	}
	defer server.Close()
	b := &bridge{client: client, server: server, fromServer: bufio.NewReaderSize(server, 64<<10)}
	rest, err := b.handshake()
	if err != nil {
		return // the suite has gone, or the server refuses: both know
	}
	up := make(chan struct{})
	go func() { defer close(up); b.up(rest) }()
	b.down()
	_ = client.Close()
	<-up
}

func (e *echo) dial() (stream, error) {
	conn, err := net.Dial("tcp", e.server.Addr)
	if err != nil || e.config == nil {
		tcp, _ := conn.(*net.TCPConn)
		return tcp, err
	}
	return tls.Client(conn, e.config), nil
}

// bridge is one connection of the echo.
type bridge struct {
	client     *net.TCPConn
	server     stream
	fromServer *bufio.Reader

	mu    sync.Mutex
	asked [][]byte // texts that the server has not answered yet
}

// handshake passes the request on, with the path that the server has, and its
// answer. The rest is what the client sent behind the request.
func (b *bridge) handshake() (rest []byte, err error) {
	fromClient := bufio.NewReaderSize(b.client, 64<<10)
	request, err := head(fromClient)
	if err != nil {
		return nil, err
	}
	_, fields, _ := bytes.Cut(request, []byte("\r\n"))
	if _, err := fmt.Fprintf(b.server, "GET %s HTTP/1.1\r\n%s", defaultPath, fields); err != nil {
		return nil, err
	}
	answer, err := head(b.fromServer)
	if err != nil {
		return nil, err
	}
	if _, err := b.client.Write(answer); err != nil {
		return nil, err
	}
	rest, err = fromClient.Peek(fromClient.Buffered())
	return slices.Clone(rest), err
}

// head reads up to the empty line.
func head(r *bufio.Reader) ([]byte, error) {
	var all []byte
	for {
		line, err := r.ReadBytes('\n')
		if all = append(all, line...); err != nil || string(line) == "\r\n" {
			return all, err
		}
	}
}

// up passes on what the client sends, byte for byte and in the pieces in which it
// comes. It notes each text before the server can answer it.
func (b *bridge) up(chunk []byte) {
	var texts textReader
	buf := make([]byte, 64<<10)
	for {
		for _, text := range texts.feed(chunk) {
			b.mu.Lock()
			b.asked = append(b.asked, text)
			b.mu.Unlock()
		}
		if _, err := b.server.Write(chunk); err != nil {
			return
		}
		n, err := b.client.Read(buf)
		if err != nil {
			_ = b.server.CloseWrite()
			return
		}
		chunk = buf[:n]
	}
}

// down passes on what the server sends, but for the first text, and for those that
// answer a text.
func (b *bridge) down() {
	w := &wire{in: b.fromServer}
	greeted := false
	for {
		first, payload, err := w.readFrame()
		if err != nil {
			return
		}
		if first&0x0F == opText && !greeted {
			greeted = true
			continue
		}
		if first&0x0F == opText {
			if text, ok := b.answered(); ok {
				first, payload = 0x80|opText, text
			}
		}
		if _, err := b.client.Write(serverFrame(first, payload)); err != nil {
			return
		}
	}
}

// answered takes the text that the server has answered. There is none when it
// answers a binary message.
func (b *bridge) answered() (text []byte, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asked) == 0 {
		return nil, false
	}
	text, b.asked = b.asked[0], b.asked[1:]
	return text, true
}

// serverFrame is a frame that is not masked.
func serverFrame(first byte, payload []byte) []byte {
	head := []byte{first}
	switch n := len(payload); {
	case n < 126:
		head = append(head, byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(n))
	}
	return append(head, payload...)
}

// textReader finds the texts in what a client sends. It judges nothing: of what is
// wrong it makes something or nothing.
type textReader struct {
	buf        []byte // a frame that is not there whole
	message    []byte // fragments
	inText     bool
	compressed bool
}

// feed gives the texts that are whole with these bytes.
func (r *textReader) feed(b []byte) (texts [][]byte) {
	r.buf = append(r.buf, b...)
	rest := r.buf
	for {
		first, payload, n := clientFrame(rest)
		if n == 0 {
			r.buf = append(r.buf[:0], rest...)
			return texts
		}
		rest = rest[n:]
		if text, ok := r.frame(first, payload); ok {
			texts = append(texts, text)
		}
	}
}

// clientFrame gives a frame at the beginning of b, unmasked; n is 0 when it is not
// there whole.
func clientFrame(b []byte) (first byte, payload []byte, n int) {
	if len(b) < 2 {
		return 0, nil, 0
	}
	at, length := 2, uint64(b[1]&0x7F)
	switch {
	case length == 126 && len(b) >= 4:
		at, length = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case length == 127 && len(b) >= 10:
		at, length = 10, binary.BigEndian.Uint64(b[2:])
	case length > 125:
		return 0, nil, 0
	}
	if b[1]&0x80 == 0 || uint64(len(b)) < uint64(at+4)+length {
		return 0, nil, 0
	}
	key := b[at : at+4]
	payload = slices.Clone(b[at+4 : at+4+int(length)])
	for i := range payload {
		payload[i] ^= key[i&3]
	}
	return b[0], payload, at + 4 + int(length)
}

// frame adds a frame to the message.
func (r *textReader) frame(first byte, payload []byte) (text []byte, ok bool) {
	switch first & 0x0F {
	case opText:
		r.message, r.inText, r.compressed = nil, true, first&0x40 != 0
	case opContinuation:
	default:
		return nil, false
	}
	if !r.inText {
		return nil, false
	}
	r.message = append(r.message, payload...)
	if first&0x80 == 0 {
		return nil, false
	}
	r.inText = false
	if !r.compressed {
		return r.message, true
	}
	text, err := inflate(r.message)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, false
	}
	return text, true
}
