package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// onHangup does something at each SIGHUP, which would end the process otherwise: it comes
// from those who want a reload, and when a terminal is closed. It does so until stop is
// called.
func onHangup(do func()) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var running sync.WaitGroup
	running.Go(func() {
		for range hangups {
			do()
		}
	})
	return func() {
		signal.Stop(hangups)
		close(hangups)
		running.Wait()
	}
}
