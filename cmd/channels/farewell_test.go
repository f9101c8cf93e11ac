package main

import (
	"net"
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
				sayFarewell(listener, test.served, test.grace)
				if took := time.Since(began); took != test.want {
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
