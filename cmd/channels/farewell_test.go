package main

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestFarewell requires that connects are refused, and that those who have made
// requests get a moment, which is not long. That the last answer on a connection
// says so is tested in hub/server.
func TestFarewell(t *testing.T) {
	for name, test := range map[string]struct {
		served bool
		grace  time.Duration
		want   time.Duration
	}{
		"to nobody":      {false, 1000 * time.Hour, 0},
		"short":          {true, time.Second, time.Second / 5},
		"the longest":    {true, time.Hour, longestFarewell},
		"without a time": {true, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				sayFarewell(&listeners{public: listener, tcp: listener}, test.served, test.grace)
				if took := time.Since(began); took < test.want || took > test.want+lastTaken {
					t.Errorf("took %v, want %v", took, test.want)
				}
			})
			if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
				_ = conn.Close()
				t.Error("a connect is taken at the end")
			}
		})
	}
}

// TestFarewellTakesTheLast requires that no connect which is made is reset unheard,
// however late it comes.
func TestFarewellTakesTheLast(t *testing.T) {
	const rounds, callers = 5, 8
	for range rounds {
		tcp, err := listenTCP(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
		})}
		served := make(chan error, 1)
		go func() { served <- server.Serve(tcp) }()

		var calling sync.WaitGroup
		var answered atomic.Int64
		for range callers {
			calling.Go(func() {
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				for {
					resp, err := client.Get("http://" + tcp.Addr().String())
					if errors.Is(err, syscall.ECONNREFUSED) {
						return
					}
					if err != nil {
						t.Errorf("after %d answers: %v", answered.Load(), err)
						return
					}
					_ = resp.Body.Close()
					answered.Add(1)
				}
			})
		}
		time.Sleep(20 * time.Millisecond) // all are calling
		sayFarewell(&listeners{public: tcp, tcp: tcp}, true, 0)
		calling.Wait()
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-served
		if answered.Load() == 0 {
			t.Error("nothing was answered: the test proves nothing")
		}
	}
}
