package main

import (
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// surviveHangups has SIGHUP logged, which would end the process otherwise: it
// comes when a terminal is closed, and from those who expect a reload. It does so
// until stop is called.
func surviveHangups(log *slog.Logger) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var running sync.WaitGroup
	running.Go(func() {
		for range hangups {
			log.Warn("SIGHUP is ignored: the chat reads its settings when it starts; restart it to change them")
		}
	})
	return func() {
		signal.Stop(hangups)
		close(hangups)
		running.Wait()
	}
}
