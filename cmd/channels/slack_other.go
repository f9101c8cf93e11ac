//go:build !linux

package main

// slackenTimers does nothing: only Linux has threads whose timers may be put off.
func slackenTimers() {}
