package main

import (
	"context"
	"net/rpc"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"channels/loadtest/account"
	"channels/loadtest/fleet"
)

// Worker is what a process with a fleet of its own answers to.
type Worker struct {
	fleet *fleet.Fleet

	mu     sync.Mutex
	cancel context.CancelFunc // of the order that is being carried out
}

// serveWorker answers over standard input and output until the input ends.
func serveWorker() int {
	debug.SetGCPercent(gcPercent)
	w := &Worker{}
	s := rpc.NewServer()
	if err := s.Register(w); err != nil {
		return exitFailed
	}
	s.ServeConn(pipe{os.Stdin, os.Stdout})
	if w.fleet != nil {
		w.fleet.Close()
	}
	return exitFine
}

// Start makes the fleet.
func (w *Worker) Start(c fleet.Config, _ *struct{}) (err error) {
	w.fleet, err = fleet.New(c)
	return err
}

// Open opens connections.
func (w *Worker) Open(o fleet.Order, opened *fleet.Opened) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.mu.Lock()
	w.cancel = cancel
	w.mu.Unlock()
	*opened = w.fleet.Open(ctx, o)
	return nil
}

// Cancel ends Open before its time.
func (w *Worker) Cancel(struct{}, *struct{}) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel != nil {
		w.cancel()
	}
	return nil
}

// Measure says from when on events count.
func (w *Worker) Measure(from int64, _ *struct{}) error { //nolint:unparam // the form of net/rpc
	w.fleet.Measure(from)
	return nil
}

// Progress tells what happened since the last call.
func (w *Worker) Progress(_ struct{}, i *fleet.Interval) error { //nolint:unparam // the form of net/rpc
	*i = w.fleet.Progress()
	return nil
}

// Received tells how many events have come.
func (w *Worker) Received(_ struct{}, n *int64) error { //nolint:unparam // the form of net/rpc
	*n = w.fleet.Received()
	return nil
}

// Settle compares what was received with what was published.
func (w *Worker) Settle(pubs []account.Publication, s *fleet.Settled) error { //nolint:unparam // the form of net/rpc
	*s = w.fleet.Settle(pubs)
	return nil
}

// Drop closes a share of the connections.
func (w *Worker) Drop(share float64, n *int64) error { //nolint:unparam // the form of net/rpc
	*n = w.fleet.Drop(share)
	return nil
}

// Fate tells what became of connections that did not read.
func (w *Worker) Fate(_ struct{}, s *fleet.Stalled) error { //nolint:unparam // the form of net/rpc
	*s = w.fleet.Fate()
	return nil
}

// CPU tells the process's processor time.
func (w *Worker) CPU(_ struct{}, d *time.Duration) error { //nolint:unparam // the form of net/rpc
	*d = ownCPU()
	return nil
}
