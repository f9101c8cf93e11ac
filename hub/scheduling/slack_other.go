//go:build !linux

package scheduling

// SlackenTimers does nothing: only Linux has threads whose timers may be put off.
func SlackenTimers() {}
