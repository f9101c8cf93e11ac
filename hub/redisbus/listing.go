package redisbus

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"channels/hub"
)

// listings lists apps' channels. However many ask, an app's are read once at a time,
// a part of them at a time: whoever comes while they are read waits for the next
// reading, since the one under way may have passed what he knows of.
type listings struct {
	mu   sync.Mutex
	apps map[string]*listing
}

// listing is a reading, under way or to come.
type listing struct {
	next  *listing
	done  chan struct{}
	found []hub.ChannelInfo
	err   error
}

// scanCount is how many channels Redis is asked for at once.
const scanCount = 1000

// Channels implements hub.State.
func (b *Bus) Channels(ctx context.Context, app, prefix string) ([]hub.ChannelInfo, error) {
	l := b.listings.join(app, func(l *listing) { b.read(l, app) })
	select {
	case <-l.done:
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
	if l.err != nil {
		return nil, unavailable(l.err)
	}
	var found []hub.ChannelInfo
	for _, info := range l.found {
		if strings.HasPrefix(info.Name, prefix) {
			found = append(found, info)
		}
	}
	return found, nil
}

// join returns a listing that has not begun yet.
func (ls *listings) join(app string, read func(*listing)) *listing {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.apps == nil {
		ls.apps = make(map[string]*listing)
	}
	current := ls.apps[app]
	if current == nil {
		current = &listing{done: make(chan struct{})}
		ls.apps[app] = current
		go ls.run(app, current, read)
		return current
	}
	if current.next == nil {
		current.next = &listing{done: make(chan struct{})}
	}
	return current.next
}

// run reads until nobody waits.
func (ls *listings) run(app string, l *listing, read func(*listing)) {
	for l != nil {
		read(l)
		close(l.done)
		ls.mu.Lock()
		next := l.next
		if next == nil {
			delete(ls.apps, app)
		} else {
			ls.apps[app] = next
		}
		ls.mu.Unlock()
		l = next
	}
}

// read reads all channels of an app.
func (b *Bus) read(l *listing, app string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for p := 0; p < partitions && l.err == nil; p += scanPartitions {
		var found []hub.ChannelInfo
		found, l.err = b.scan(ctx, app, p, min(p+scanPartitions, partitions))
		l.found = append(l.found, found...)
	}
}

// scanPartitions is of how many partitions the first part is asked for together.
const scanPartitions = 32

// scan reads the channels of some partitions.
func (b *Bus) scan(ctx context.Context, app string, from, to int) ([]hub.ChannelInfo, error) {
	cursors := map[int]uint64{}
	for p := from; p < to; p++ {
		cursors[p] = 0
	}
	seen := map[string]bool{} // a channel may be told twice
	var found []hub.ChannelInfo
	for len(cursors) > 0 {
		pipe := b.reads.Pipeline()
		pages := map[int]*redis.ScanCmd{}
		for p, at := range cursors {
			pages[p] = pipe.HScan(ctx, b.keys.subscribers(p, app), at, "", scanCount)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, err
		}
		for p, page := range pages {
			words, next := page.Val()
			for pair := range slices.Chunk(words, 2) {
				if len(pair) == 2 && pair[0] != quotaChannel && !seen[pair[0]] {
					seen[pair[0]] = true
					found = append(found, hub.ChannelInfo{Name: pair[0], Subscribers: number(pair[1])})
				}
			}
			if cursors[p] = next; next == 0 {
				delete(cursors, p)
			}
		}
	}
	return found, b.countUsers(ctx, app, from, to, found)
}

// countUsers adds the users of the presence channels.
func (b *Bus) countUsers(ctx context.Context, app string, from, to int, found []hub.ChannelInfo) error {
	users := map[string]string{}
	for p := from; p < to; p++ {
		for at := uint64(0); ; {
			words, next, err := b.reads.HScan(ctx, b.keys.users(p, app), at, "", scanCount).Result()
			if err != nil {
				return err
			}
			for pair := range slices.Chunk(words, 2) {
				if len(pair) == 2 {
					users[pair[0]] = pair[1]
				}
			}
			if at = next; at == 0 {
				break
			}
		}
	}
	for i := range found {
		found[i].Users = number(users[found[i].Name])
	}
	return nil
}
