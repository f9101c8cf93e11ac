package chatapp

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// readsInterval is the time between two transactions that store what was read. A
// crash loses the receipts of so long.
const readsInterval = time.Second

// reads holds how far people have read until it is stored, for all together: a
// room's thousand readers cost one transaction and one event, not a thousand. All
// methods may be called at once.
type reads struct {
	store *Store
	log   *slog.Logger

	mu      sync.Mutex
	pending map[string]map[string]int64 // room → user → seq
}

func newReads(store *Store, log *slog.Logger) *reads {
	return &reads{store: store, log: log, pending: map[string]map[string]int64{}}
}

// mark notes that a member has read up to a message, and returns how far that is
// now and what is unread after it. It never goes back, nor beyond the newest
// message.
func (r *reads) mark(ctx context.Context, me Account, room string, seq int64) (readSeq, unread int64, err error) {
	state, err := r.store.reading(ctx).roomForMember(room, me.ID)
	if err != nil {
		return 0, 0, failed("look up what was read", err)
	}
	readSeq = r.raise(room, me.ID, state.readSeq, min(seq, state.lastSeq))
	if readSeq >= state.lastSeq {
		return readSeq, 0, nil
	}
	unread, err = r.store.unreadAfter(ctx, me, room, readSeq)
	return readSeq, unread, err
}

// raise returns the greatest of what is stored, pending and now read.
func (r *reads) raise(room, user string, stored, seq int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	have := max(stored, r.pending[room][user])
	if seq > have {
		r.put(room, user, seq)
	}
	return max(have, seq)
}

// put is called with mu.
func (r *reads) put(room, user string, seq int64) {
	if r.pending[room] == nil {
		r.pending[room] = map[string]int64{}
	}
	r.pending[room][user] = max(seq, r.pending[room][user])
}

// overlay shows one's own position in a room as it will be stored.
func (r *reads) overlay(me Account, rooms []Room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range rooms {
		seq := r.pending[rooms[i].ID][me.ID]
		if seq <= rooms[i].ReadSeq {
			continue
		}
		rooms[i].ReadSeq = seq
		if seq >= rooms[i].LastSeq {
			rooms[i].Unread = 0
		}
	}
}

// flush stores what is pending; if that fails, it stays pending.
func (r *reads) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r.mu.Lock()
	taken := r.pending
	r.pending = map[string]map[string]int64{}
	r.mu.Unlock()
	if len(taken) == 0 {
		return
	}
	err := r.store.storeReads(ctx, taken)
	if err == nil {
		return
	}
	r.log.Debug("store what was read", "error", err)
	r.mu.Lock()
	defer r.mu.Unlock()
	for room, users := range taken {
		for user, seq := range users {
			r.put(room, user, seq)
		}
	}
}
