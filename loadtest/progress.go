package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"channels/loadtest/hist"
)

// progress tells what happens while it happens: in one line that changes on a
// terminal, otherwise in plain lines.
type progress struct {
	w        io.Writer
	terminal bool

	mu    sync.Mutex
	phase hist.Histogram // deliveries since the last take
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *progress) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K"+text)
		return
	}
	fmt.Fprintln(p.w, text)
}

// end leaves the line that changes.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprintln(p.w)
	}
}

func (p *progress) add(h hist.Histogram) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase.Add(h)
}

// take returns the deliveries since the last call.
func (p *progress) take() hist.Histogram {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase.Take()
}
