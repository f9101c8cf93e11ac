package redisbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// plainFeeds is over how many connections a node listens to a Redis that has all
	// partitions.
	plainFeeds = 2
	// maxSubscribe is how many channels one command names.
	maxSubscribe = 500
	// catchUpAtOnce is how many partitions of a connection read the log at a time.
	catchUpAtOnce = 4
)

// feed is a connection by which messages come from a server, and its successors:
// what breaks is replaced, and what was missed is read from the log. On a cluster
// it is there only while the node listens to something on that server.
type feed struct {
	bus    *Bus
	server *server
	index  int
	wake   chan struct{} // there is something to listen to

	mu      sync.Mutex
	parts   map[int]*incoming
	line    *line     // nil while there is none
	signAt  time.Time // when the last sign of life came
	openAt  time.Time // when one last came, or could not, since the reader waited for room
	backoff time.Duration
}

func newFeed(s *server, index int) *feed {
	return &feed{
		bus: s.bus, server: s, index: index, wake: make(chan struct{}, 1),
		parts: make(map[int]*incoming), signAt: time.Now(), openAt: time.Now(),
	}
}

// add has a partition listened to.
func (f *feed) add(in *incoming) {
	f.mu.Lock()
	if len(f.parts) == 0 {
		f.signAt, f.openAt = time.Now(), time.Now() // a first connection has its time
	}
	f.parts[in.index] = in
	l := f.line
	f.mu.Unlock()
	wakeUp(f.wake)
	if l != nil {
		in.attach(l)
		if l.isOver() {
			in.detach(l)
		}
	}
}

// remove ends that.
func (f *feed) remove(in *incoming) {
	f.mu.Lock()
	delete(f.parts, in.index)
	l, none := f.line, len(f.parts) == 0
	f.mu.Unlock()
	if l == nil {
		return
	}
	in.leave(l)
	if none && f.bus.sharded {
		l.hangUp()
	}
}

// run keeps a connection while one is needed.
func (f *feed) run(ctx context.Context) {
	for ctx.Err() == nil {
		if !f.needed() {
			select {
			case <-f.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		err := f.listen(ctx)
		if ctx.Err() != nil || !f.needed() {
			continue
		}
		f.bus.stats.reconnects.Add(1)
		f.bus.feedLog.tell("a connection by which messages come has ended", "server", f.server.addr, "connection", f.index, "error", err)
		if f.bus.sharded {
			f.bus.router.look()
		}
		select {
		case <-time.After(f.delay()):
		case <-ctx.Done():
		}
	}
}

func (f *feed) needed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.bus.sharded || len(f.parts) > 0
}

// delay is how long to wait before the next connection, longer each time while
// none works.
func (f *feed) delay() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backoff = min(max(2*f.backoff, feedPause), mostFeedPause)
	return jittered(f.backoff)
}

// listen opens a connection and reads it to its end.
func (f *feed) listen(ctx context.Context) error {
	c, err := dial(ctx, f.server.beats.Options())
	if err != nil {
		return err
	}
	l, parts := f.begin(c)
	defer f.end(l)
	defer context.AfterFunc(ctx, l.hangUp)() // Close may have hung up before there was a line
	ctx, cancel := context.WithCancel(ctx)
	var writing sync.WaitGroup
	writing.Go(func() { l.write(ctx) })
	defer writing.Wait()
	defer cancel()
	for _, in := range parts {
		in.attach(l)
	}
	for {
		r, err := c.read()
		if err == nil {
			err = l.receive(ctx, r)
		}
		if err != nil {
			l.hangUp()
			return err
		}
	}
}

// begin takes a new connection into use.
func (f *feed) begin(c *conn) (*line, []*incoming) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &line{
		feed: f, conn: c, began: time.Now(), wake: make(chan struct{}, 1),
		reading: make(chan struct{}, catchUpAtOnce), since: behind(f.server.now()),
	}
	parts := make([]*incoming, 0, len(f.parts))
	l.home = f.index
	for _, in := range f.parts {
		parts = append(parts, in)
		l.home = in.index
	}
	l.canary = f.bus.keys.canary(l.home, fmt.Sprintf("%s-%d-%d", f.bus.id, f.index, f.bus.lines.Add(1)))
	f.line = l
	l.send(subscribe, l.home, l.canary)
	return l, parts
}

// end is the connection's last.
func (f *feed) end(l *line) {
	l.hangUp()
	f.mu.Lock()
	if f.line == l {
		f.line = nil
	}
	parts := make([]*incoming, 0, len(f.parts))
	for _, in := range f.parts {
		parts = append(parts, in)
	}
	f.mu.Unlock()
	for _, in := range parts {
		in.detach(l)
	}
}

// hangUp ends the connection, if there is one.
func (f *feed) hangUp() {
	f.mu.Lock()
	l := f.line
	f.mu.Unlock()
	if l != nil {
		l.hangUp()
	}
}

// canary says where a sign of life is to be published, if one can come.
func (f *feed) canary() (partition int, channel string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.line == nil {
		return 0, "", false
	}
	return f.line.home, f.line.canary, true
}

// lives notes a sign of life.
func (f *feed) lives() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signAt, f.openAt, f.backoff = time.Now(), time.Now(), 0
}

// age is for how long no sign of life has come, where one should, and whether the
// node does not read because it has no room.
func (f *feed) age(now time.Time) (age time.Duration, full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bus.sharded && len(f.parts) == 0 {
		return 0, false
	}
	return now.Sub(f.signAt), f.line != nil && f.line.full.Load()
}

// sweep ends a connection by which nothing comes.
func (f *feed) sweep(now time.Time) {
	f.mu.Lock()
	l := f.line
	silent := l != nil && f.isSilent(l, now)
	f.mu.Unlock()
	if silent {
		l.silent.Store(true)
		l.hangUp()
	}
}

// isSilent says whether the connection is to be replaced, since no sign of life has
// come by it. One that waits behind messages for which the node has no room may be
// late, but not for so long that the log forgets what follows. The lock is held.
func (f *feed) isSilent(l *line, now time.Time) bool {
	if l.full.Load() {
		f.openAt = now
	}
	since := func(t time.Time) time.Duration { return min(now.Sub(t), now.Sub(l.began)) }
	return since(f.openAt) > canaryPatience || since(f.signAt) > roomPatience
}

// line is one connection of a feed.
type line struct {
	feed    *feed
	conn    *conn
	began   time.Time
	since   uint64 // the server's time when it began, or earlier
	home    int    // the partition of its canary
	canary  string // where the node's signs of life come
	reading chan struct{}
	wake    chan struct{} // there is something to send

	clock  atomic.Uint64 // of the last sign of life
	silent atomic.Bool   // none came any more
	full   atomic.Bool   // the reader waits for room in the node
	over   atomic.Bool

	mu    sync.Mutex
	queue []subscribing // to be sent
	sent  []subscribing // and not answered
}

// subscribing is a command about channels of one partition.
type subscribing struct {
	command   command
	partition int
	channels  []string
	left      int // confirmations that are missing
}

var (
	errSurprise = errors.New("redis has confirmed what was not asked")
	errRefused  = errors.New("redis has refused to listen")
)

func (l *line) hangUp() {
	l.over.Store(true)
	l.conn.close()
}

func (l *line) isOver() bool { return l.over.Load() }

// workedUntil is until when the connection is known to have worked, by the
// server's time. One that has ended did until then; one that was silent may have
// been broken since its last sign of life.
func (l *line) workedUntil() uint64 {
	if l.silent.Load() {
		return max(l.clock.Load(), l.since)
	}
	return l.feed.server.now()
}

// send queues a command, which does not wait.
func (l *line) send(c command, partition int, channel string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := len(l.queue) - 1
	if last < 0 || l.queue[last].command != c || l.queue[last].partition != partition && l.feed.bus.sharded ||
		len(l.queue[last].channels) == maxSubscribe {
		l.queue = append(l.queue, subscribing{command: c, partition: partition})
		last++
	}
	l.queue[last].channels = append(l.queue[last].channels, channel)
	wakeUp(l.wake)
}

// write sends what there is to say.
func (l *line) write(ctx context.Context) {
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		for _, s := range l.unsent() {
			if err := l.conn.send(append([]string{l.verb(s.command)}, s.channels...)); err != nil {
				l.hangUp() // which its reader notices
				return
			}
		}
	}
}

func (l *line) unsent() []subscribing {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.queue
	l.queue = nil
	for i := range queue {
		queue[i].left = len(queue[i].channels)
	}
	l.sent = append(l.sent, queue...)
	return slices.Clone(queue)
}

func (l *line) verb(c command) string {
	verb := "SUBSCRIBE"
	if c == unsubscribe {
		verb = "UNSUBSCRIBE"
	}
	if l.feed.bus.sharded {
		verb = "S" + verb
	}
	return verb
}

// receive takes what has come.
func (l *line) receive(ctx context.Context, r received) error {
	switch {
	case r.failure != "":
		return l.refused(r.failure)
	case r.kind == "message" || r.kind == "smessage":
		if r.channel == l.canary {
			return l.alive(r.payload)
		}
		if err := l.awaitRoom(ctx); err != nil {
			return err
		}
		in, err := l.incomingOf(r.channel)
		if err != nil {
			return err
		}
		return in.message(l, r.channel, r.payload)
	case r.kind == "subscribe" || r.kind == "ssubscribe":
		return l.confirmed(ctx, subscribe, r.channel)
	case r.kind == "unsubscribe" || r.kind == "sunsubscribe":
		return l.confirmed(ctx, unsubscribe, r.channel)
	}
	return nil
}

// awaitRoom waits until the node can take more. What has come meanwhile stays in the
// connection, signs of life among it.
func (l *line) awaitRoom(ctx context.Context) error {
	room := l.feed.bus.room
	if room == nil {
		return nil
	}
	l.full.Store(true)
	defer l.full.Store(false)
	return room(ctx)
}

// alive takes the node's own sign of life: the server's time when it was sent.
func (l *line) alive(payload string) error {
	sent := digitsOf(payload)
	if sent == 0 {
		return fmt.Errorf("%w: canary %.20q", errMalformed, payload)
	}
	l.clock.Store(sent)
	l.feed.lives()
	if now := l.feed.server.now(); now > sent {
		l.feed.bus.stats.lags.Observe(time.Duration(now-sent) * time.Microsecond)
	}
	return nil
}

func (l *line) incomingOf(channel string) (*incoming, error) {
	p := l.feed.bus.keys.partitionAt(channel)
	if p < 0 {
		return nil, fmt.Errorf("%w: on %.60q", errMalformed, channel)
	}
	return l.feed.bus.in[p], nil
}

// confirmed takes a confirmation. One that nobody has asked for means that the
// slot was moved: its partition is listened to elsewhere from now on.
func (l *line) confirmed(ctx context.Context, c command, channel string) error {
	if channel == l.canary {
		if c == unsubscribe {
			return errSurprise
		}
		l.answered()
		return nil
	}
	in, err := l.incomingOf(channel)
	if err != nil {
		return err
	}
	if in.confirmed(ctx, l, c, channel) {
		l.answered()
		return nil
	}
	if c == unsubscribe && l.feed.bus.sharded {
		in.detach(l)
		l.feed.bus.router.look()
		return nil
	}
	return errSurprise
}

// answered counts a confirmation for the command that is oldest.
func (l *line) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sent) == 0 {
		return
	}
	l.sent[0].left--
	if l.sent[0].left <= 0 {
		l.sent = l.sent[1:]
	}
}

// refused is for a command that has failed: in a cluster, because the slot is
// elsewhere.
func (l *line) refused(why string) error {
	l.mu.Lock()
	if len(l.sent) == 0 || !l.feed.bus.sharded {
		l.mu.Unlock()
		return fmt.Errorf("%w: %s", errRefused, why)
	}
	partition := l.sent[0].partition
	l.sent = l.sent[1:]
	l.mu.Unlock()
	if partition == l.home {
		return fmt.Errorf("%w: %s", errRefused, why)
	}
	l.feed.bus.in[partition].detach(l)
	l.feed.bus.router.look()
	return nil
}
