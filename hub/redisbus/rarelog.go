package redisbus

import (
	"log/slog"
	"sync"
	"time"
)

// rareLog tells what may happen to many partitions at once in one line: the first,
// and how many others there were since the last line.
type rareLog struct {
	log *slog.Logger

	mu     sync.Mutex
	last   time.Time
	untold int
}

func newRareLog(log *slog.Logger) *rareLog { return &rareLog{log: log} }

const rareLogInterval = time.Second

func (r *rareLog) tell(what string, args ...any) {
	r.mu.Lock()
	if time.Since(r.last) < rareLogInterval {
		r.untold++
		r.mu.Unlock()
		return
	}
	others := r.untold
	r.last, r.untold = time.Now(), 0
	r.mu.Unlock()
	r.log.Warn(what, append(args, "others", others)...)
}
