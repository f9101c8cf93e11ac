package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"channels/loadtest/account"
	"channels/loadtest/fleet"
)

// crew is all connections of a run: one fleet in this process, or one in each of
// several.
type crew struct {
	workers []worker
}

// worker is a fleet, here or elsewhere.
type worker interface {
	open(context.Context, fleet.Order) (fleet.Opened, error)
	measure(from int64) error
	progress() (fleet.Interval, error)
	received() (int64, error)
	settle([]account.Publication) (fleet.Settled, error)
	drop(share float64) (int64, error)
	fate() (fleet.Stalled, error)
	cpu() (time.Duration, error) // of other processes; 0 for this one
	close() error
}

// newCrew makes a crew in this process, or in several others.
func newCrew(c fleet.Config, processes int) (*crew, error) {
	c.Loops = runtime.GOMAXPROCS(0)
	if processes <= 1 {
		f, err := fleet.New(c)
		if err != nil {
			return nil, err
		}
		return &crew{[]worker{local{f}}}, nil
	}
	all := &crew{}
	for range processes {
		w, err := startRemote(c)
		if err != nil {
			return nil, errors.Join(err, all.close())
		}
		all.workers = append(all.workers, w)
	}
	return all, nil
}

// each asks all workers at once.
func (c *crew) each(ask func(i int, w worker) error) error {
	errs := make([]error, len(c.workers))
	var all sync.WaitGroup
	for i, w := range c.workers {
		all.Go(func() { errs[i] = ask(i, w) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// ask asks all workers at once and adds their answers up.
func ask[T any](c *crew, question func(i int, w worker) (T, error), add func(T)) error {
	var mu sync.Mutex
	return c.each(func(i int, w worker) error {
		answer, err := question(i, w)
		mu.Lock()
		defer mu.Unlock()
		add(answer)
		return err
	})
}

// open shares an order among the workers.
func (c *crew) open(ctx context.Context, o fleet.Order) (fleet.Opened, error) {
	var sum fleet.Opened
	n := len(c.workers)
	err := ask(c, func(i int, w worker) (fleet.Opened, error) {
		share := o
		from, to := o.Count*i/n, o.Count*(i+1)/n
		share.First, share.Count = o.First+from, to-from
		share.Rate = o.Rate / float64(n)
		if o.AtOnce > 0 {
			share.AtOnce = max(1, o.AtOnce/n)
		}
		return w.open(ctx, share)
	}, func(p fleet.Opened) { sum.Add(p) })
	return sum, err
}

func (c *crew) measure(from int64) error {
	return c.each(func(_ int, w worker) error { return w.measure(from) })
}

func (c *crew) progress() (fleet.Interval, error) {
	var sum fleet.Interval
	err := ask(c, func(_ int, w worker) (fleet.Interval, error) { return w.progress() },
		func(i fleet.Interval) { sum.Add(i) })
	return sum, err
}

func (c *crew) received() (int64, error) {
	var sum int64
	err := ask(c, func(_ int, w worker) (int64, error) { return w.received() }, func(n int64) { sum += n })
	return sum, err
}

func (c *crew) settle(pubs []account.Publication) (fleet.Settled, error) {
	var sum fleet.Settled
	err := ask(c, func(_ int, w worker) (fleet.Settled, error) { return w.settle(pubs) },
		func(s fleet.Settled) { sum.Add(s) })
	return sum, err
}

func (c *crew) drop(share float64) (int64, error) {
	var sum int64
	err := ask(c, func(_ int, w worker) (int64, error) { return w.drop(share) }, func(n int64) { sum += n })
	return sum, err
}

func (c *crew) fate() (fleet.Stalled, error) {
	var sum fleet.Stalled
	err := ask(c, func(_ int, w worker) (fleet.Stalled, error) { return w.fate() },
		func(s fleet.Stalled) { sum.Add(s) })
	return sum, err
}

// cpu returns the processor time of this process and of the others.
func (c *crew) cpu() (time.Duration, error) {
	sum := ownCPU()
	err := ask(c, func(_ int, w worker) (time.Duration, error) { return w.cpu() },
		func(d time.Duration) { sum += d })
	return sum, err
}

func (c *crew) close() error {
	return c.each(func(_ int, w worker) error { return w.close() })
}

// local is a fleet in this process.
type local struct{ *fleet.Fleet }

func (l local) open(ctx context.Context, o fleet.Order) (fleet.Opened, error) {
	return l.Open(ctx, o), nil
}
func (l local) measure(from int64) error          { l.Measure(from); return nil }
func (l local) progress() (fleet.Interval, error) { return l.Progress(), nil }
func (l local) received() (int64, error)          { return l.Received(), nil }
func (l local) drop(share float64) (int64, error) { return l.Drop(share), nil }
func (l local) fate() (fleet.Stalled, error)      { return l.Fate(), nil }
func (l local) cpu() (time.Duration, error)       { return 0, nil }
func (l local) close() error                      { l.Close(); return nil }
func (l local) settle(pubs []account.Publication) (fleet.Settled, error) {
	return l.Settle(pubs), nil
}

// remote is a fleet in another process, spoken to over its standard input and
// output.
type remote struct {
	client  *rpc.Client
	process *exec.Cmd
}

// pipe is both directions of a process.
type pipe struct {
	io.Reader
	io.WriteCloser
}

func startRemote(c fleet.Config) (*remote, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start another process: %w", err)
	}
	p := exec.Command(program, "worker")
	p.Stderr = os.Stderr
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process alone
	in, err := p.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start another process: %w", err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start another process: %w", err)
	}
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("start another process: %w", err)
	}
	r := &remote{rpc.NewClient(pipe{out, in}), p}
	if err := r.call("Start", c, &struct{}{}); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *remote) call(method string, args, reply any) error {
	if err := r.client.Call("Worker."+method, args, reply); err != nil {
		return fmt.Errorf("process %d: %w", r.process.Process.Pid, err)
	}
	return nil
}

func (r *remote) open(ctx context.Context, o fleet.Order) (opened fleet.Opened, err error) {
	done := make(chan error, 1)
	go func() { done <- r.call("Open", o, &opened) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = errors.Join(r.call("Cancel", struct{}{}, &struct{}{}), <-done)
	}
	return opened, err
}

func (r *remote) measure(from int64) error { return r.call("Measure", from, &struct{}{}) }

func (r *remote) progress() (i fleet.Interval, err error) {
	err = r.call("Progress", struct{}{}, &i)
	return i, err
}

func (r *remote) received() (n int64, err error) {
	err = r.call("Received", struct{}{}, &n)
	return n, err
}

func (r *remote) settle(pubs []account.Publication) (s fleet.Settled, err error) {
	err = r.call("Settle", pubs, &s)
	return s, err
}

func (r *remote) drop(share float64) (n int64, err error) {
	err = r.call("Drop", share, &n)
	return n, err
}

func (r *remote) fate() (s fleet.Stalled, err error) {
	err = r.call("Fate", struct{}{}, &s)
	return s, err
}

func (r *remote) cpu() (d time.Duration, err error) {
	err = r.call("CPU", struct{}{}, &d)
	return d, err
}

func (r *remote) close() error {
	err := r.client.Close() // its end of input ends the process
	return errors.Join(err, r.process.Wait())
}
