package main

import (
	"bufio"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestFarewell requires that the last answer on a connection says so, that new
// connects are refused before, and that an upgrade is left alone.
func TestFarewell(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &farewell{handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })}
	s := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	defer func() { _ = s.Close(); <-served }()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	closes := func(conn net.Conn, header string) bool {
		t.Helper()
		if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n" + header + "\r\n")); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		return res.Close
	}
	pooled, idle := dial(), dial()
	if closes(pooled, "") || closes(idle, "") {
		t.Error("a connection is closed before the end")
	}
	f.say(listener, 0)
	if _, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		t.Error("a connect is taken at the end")
	}
	if closes(idle, "Connection: Upgrade\r\nUpgrade: websocket\r\n") {
		t.Error("the answer to an upgrade is changed")
	}
	if !closes(pooled, "") {
		t.Error("the last answer does not say that it is the last")
	}
}

// TestFarewellToNobody takes no time: where no request was made, nobody keeps a
// connection for the next one.
func TestFarewellToNobody(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	(&farewell{}).say(listener, 1000*time.Hour)
	if took := time.Since(began); took >= longestFarewell {
		t.Errorf("took %v", took)
	}
}
