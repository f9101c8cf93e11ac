package overhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"channels/loadtest/wire"
)

// session returns one over a server with this handler.
func session(t *testing.T, streaming bool, handler http.HandlerFunc) *Conn {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	address, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := New(Options{
		Server: address, Key: "key", Streaming: streaming, Sends: s.Client(),
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address.Host)
		},
	})
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// frames reads frames to the end, which is the error.
func frames(c *Conn) (texts []string, end error) {
	var held []byte
	chunk := make([]byte, 64<<10)
	for {
		n, err := c.Read(chunk)
		held = append(held, chunk[:n]...)
		for {
			f, size, bad := wire.Next(held)
			if bad != nil {
				return texts, bad
			}
			if size == 0 {
				break
			}
			held = held[size:]
			if f.Opcode == wire.Close {
				code, reason := wire.CloseCode(f.Payload)
				texts = append(texts, fmt.Sprint(code, " ", reason))
				continue
			}
			texts = append(texts, string(f.Payload))
		}
		if err != nil {
			return texts, err
		}
	}
}

func TestPollsOneAfterTheOther(t *testing.T) {
	answers := []string{"o\n", `a["one","two \"quoted\""]` + "\n", "h\n", `m"three"` + "\n" + `a["four"]` + "\n", `c[4200,"again"]` + "\n"}
	var polls atomic.Int64
	c := session(t, false, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/pusher/app/key/") || !strings.HasSuffix(r.URL.Path, "/xhr") {
			t.Errorf("asked for %s", r.URL)
		}
		_, _ = io.WriteString(w, answers[polls.Add(1)-1])
	})
	texts, err := frames(c)
	if got, want := strings.Join(texts, "|"), `one|two "quoted"|three|four|4200 again`; got != want || !errors.Is(err, io.EOF) {
		t.Errorf("got %s and %v, want %s and the end", got, err, want)
	}
}

// TestStreamRollsOver sends more than a browser reads of one answer, and has text of
// which bytes and units differ.
func TestStreamRollsOver(t *testing.T) {
	const each = 1000 // characters of two bytes, one unit
	text := strings.Repeat("é", each)
	next := 0
	var streams atomic.Int64
	c := session(t, true, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/xhr_send") {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		first := "h\no\n"
		if streams.Add(1) > 1 {
			first = "h\n"
		}
		_, _ = io.WriteString(w, first)
		for n := 4; next < 600 && n <= rollover; next++ {
			line := fmt.Sprintf("a[\"%d %s\"]\n", next, text)
			_, _ = io.WriteString(w, line)
			n += len(line) - each
		}
		if next == 600 {
			_, _ = io.WriteString(w, "c[4200,\"done\"]\n")
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done() // the client ends a stream
	})
	texts, err := frames(c)
	if len(texts) != 601 || !errors.Is(err, io.EOF) || streams.Load() != 3 {
		t.Fatalf("got %d messages over %d streams and %v, want 600 and a close frame over 3", len(texts), streams.Load(), err)
	}
	for i, got := range texts[:600] {
		if got != fmt.Sprint(i, " ", text) {
			t.Fatalf("message %d is %.20s", i, got)
		}
	}
}

func TestSends(t *testing.T) {
	bodies := make(chan string, 10)
	c := session(t, true, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/xhr_send") {
			body, _ := io.ReadAll(r.Body)
			bodies <- string(body)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = io.WriteString(w, "o\nh\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	go func() { _, _ = frames(c) }()
	if got := <-bodies; got != "[]" {
		t.Errorf("a heartbeat was answered with %s, want []", got)
	}
	for _, frame := range [][]byte{wire.Append(nil, wire.Pong, nil), wire.Append(nil, wire.Text, []byte(`{"é":"`+strings.Repeat("x", 70_000)+`"}`))} {
		if _, err := c.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-bodies; !strings.HasPrefix(got, `["{\"é\":\"xxx`) || !strings.HasSuffix(got, `x\"}"]`) {
		t.Errorf("sent %.40s", got)
	}
}

// TestFaultyServers wants a sentence for each.
func TestFaultyServers(t *testing.T) {
	tests := map[string]struct {
		streaming bool
		handler   http.HandlerFunc
		want      string
	}{
		"no such path":           {false, http.NotFound, "404"},
		"a line that is no JSON": {false, answering("o\na[x]\n"), "malformed line: a[x]"},
		"an unknown line":        {false, answering("o\nwhat\n"), "malformed line: what"},
		"a code out of range":    {false, answering("c[7,\"no\"]\n"), "malformed line: c[7"},
		"half a line":            {false, answering("a[\"one"), "broke off"},
		"a stream that ends":     {true, answering("o\n"), "ended a stream without a word"},
		"a message refused": {true, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/xhr_send") {
				http.Error(w, "no such session", http.StatusNotFound)
				return
			}
			_, _ = io.WriteString(w, "o\nh\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "a message was refused: 404"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := session(t, test.streaming, test.handler)
			if _, err := c.Write(wire.Append(nil, wire.Text, []byte("{}"))); err != nil {
				t.Fatal(err)
			}
			_, err := frames(c)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

// answering gives a text to whoever asks for messages.
func answering(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/xhr_send") {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = io.WriteString(w, text)
	}
}

func TestDeadline(t *testing.T) {
	c := session(t, true, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	if err := c.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := frames(c); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want that the deadline is over", err)
	}
}

func FuzzTake(f *testing.F) {
	f.Add([]byte("o"))
	f.Add([]byte(`a["{\"event\":\"e\"}"]`))
	f.Add([]byte(`m"x"`))
	f.Add([]byte(`c[4200,"again"]`))
	f.Add([]byte("h"))
	f.Fuzz(func(t *testing.T, line []byte) {
		c := &Conn{}
		err := c.take(line)
		for rest := c.ready; len(rest) > 0; {
			_, size, bad := wire.Next(rest)
			if bad != nil || size == 0 {
				t.Fatalf("%q made a malformed frame, %v", line, bad)
			}
			rest = rest[size:]
		}
		if err != nil && len(c.ready) > 0 {
			t.Errorf("%q is both malformed and not", line)
		}
	})
}
