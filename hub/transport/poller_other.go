//go:build !linux || goroutinereaders

package transport

import "errors"

// poller is nothing here: every socket has a goroutine that reads.
type poller struct{}

func newPoller() (*poller, error) { return nil, errors.ErrUnsupported }

func (*poller) close() {}

func (*poller) arm(int, *session) error { return errors.ErrUnsupported }

func (*poller) forget(int) {}

func (p *poller) newWaiter() *poller { return p }

func (*poller) next([]*session) ([]*session, error) { return nil, errors.ErrUnsupported }
