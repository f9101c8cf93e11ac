//go:build !linux

package scheduling

// SlackenTimers does nothing: only Linux has a slack for the timers of a thread.
func SlackenTimers() {}
