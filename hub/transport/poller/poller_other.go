//go:build !linux || goroutinereaders

package poller

import "errors"

// Set does not exist here.
type Set struct{}

// NewSet fails.
func NewSet() (*Set, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Set) Close() {}

// Arm fails.
func (*Set) Arm(int, Parked) error { return errors.ErrUnsupported }

// Forget does nothing.
func (*Set) Forget(int) {}

// Waiter does not exist here either.
type Waiter struct{}

// NewWaiter returns one that never waits.
func (*Set) NewWaiter() *Waiter { return nil }

// Close does nothing.
func (*Waiter) Close() {}

// Next fails.
func (*Waiter) Next([]Parked) ([]Parked, error) { return nil, errors.ErrUnsupported }
