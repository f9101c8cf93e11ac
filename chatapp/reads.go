package chatapp

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// How long what was read waits to be stored; a crash loses the receipts of so
// long. In a large room only a count is shown, which may be some seconds old.
const (
	readsInterval = time.Second
	readsDelay    = 4 * time.Second // more, in a large room
	largeRoom     = 20              // members, above which the page shows a count
)

// reads holds how far people have read until it is stored, for all together: a
// room's thousand readers cost one transaction and one event, not a thousand. All
// methods may be called at once.
type reads struct {
	store *Store
	log   *slog.Logger

	mu      sync.Mutex
	pending map[string]*roomReads // by room
}

// roomReads is what waits of one room.
type roomReads struct {
	due   time.Time
	seqOf map[string]int64 // by user
}

func newReads(store *Store, log *slog.Logger) *reads {
	return &reads{store: store, log: log, pending: map[string]*roomReads{}}
}

// mark notes that a member has read up to a message, and returns how far that is
// now and what is unread after it. It never goes back, nor beyond the newest
// message.
func (r *reads) mark(ctx context.Context, me Account, room string, seq int64) (readSeq, unread int64, err error) {
	state, err := r.store.reading(ctx).roomForMember(room, me.ID)
	if err != nil {
		return 0, 0, failed("look up what was read", err)
	}
	readSeq = r.raise(state, me.ID, min(seq, state.lastSeq))
	if readSeq >= state.lastSeq {
		return readSeq, 0, nil
	}
	unread, err = r.store.unreadAfter(ctx, me, room, readSeq)
	return readSeq, unread, err
}

// raise returns the greatest of what is stored, pending and now read.
func (r *reads) raise(room roomState, user string, seq int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	have := room.readSeq
	waiting := r.pending[room.id]
	if waiting != nil {
		have = max(have, waiting.seqOf[user])
	}
	if seq <= have {
		return have
	}
	if waiting == nil {
		waiting = &roomReads{due: time.Now(), seqOf: map[string]int64{}}
		if room.count > largeRoom {
			waiting.due = waiting.due.Add(readsDelay)
		}
		r.pending[room.id] = waiting
	}
	waiting.seqOf[user] = seq
	return seq
}

// overlay shows one's own position in a room as it will be stored.
func (r *reads) overlay(me Account, rooms []Room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range rooms {
		waiting := r.pending[rooms[i].ID]
		if waiting == nil || waiting.seqOf[me.ID] <= rooms[i].ReadSeq {
			continue
		}
		rooms[i].ReadSeq = waiting.seqOf[me.ID]
		if rooms[i].ReadSeq >= rooms[i].LastSeq {
			rooms[i].Unread = 0
		}
	}
}

// flushDue stores what has waited long enough.
func (r *reads) flushDue(ctx context.Context) {
	now := time.Now()
	r.flush(ctx, func(w *roomReads) bool { return !w.due.After(now) })
}

// flushAll stores all that waits.
func (r *reads) flushAll(ctx context.Context) {
	r.flush(ctx, func(*roomReads) bool { return true })
}

// flush stores rooms' reads in one transaction; if that fails, they wait on.
func (r *reads) flush(ctx context.Context, which func(*roomReads) bool) {
	taken := r.take(which)
	if len(taken) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seqs := map[string]map[string]int64{}
	for room, w := range taken {
		seqs[room] = w.seqOf
	}
	if err := r.store.storeReads(ctx, seqs); err != nil {
		r.log.Debug("store what was read", "error", err)
		r.putBack(taken)
	}
}

func (r *reads) take(which func(*roomReads) bool) map[string]*roomReads {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := map[string]*roomReads{}
	for room, w := range r.pending {
		if which(w) {
			taken[room] = w
			delete(r.pending, room)
		}
	}
	return taken
}

func (r *reads) putBack(taken map[string]*roomReads) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for room, old := range taken {
		if newer := r.pending[room]; newer != nil {
			for user, seq := range newer.seqOf {
				old.seqOf[user] = max(seq, old.seqOf[user])
			}
		}
		r.pending[room] = old
	}
}
