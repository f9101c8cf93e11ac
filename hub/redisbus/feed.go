package redisbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"channels/hub"
)

const (
	// plainFeeds is over how many connections a node listens to one Redis.
	plainFeeds = 2
	// canaryPatience is for how long nothing may come by a connection before the
	// node is not ready, and the connection is replaced.
	canaryPatience = 4 * time.Second
	// maxSubscribe is how many channels one command names.
	maxSubscribe = 500
)

// feed is a connection by which messages come, and its successors: what breaks
// is replaced, and what was missed is read from the log. It is for a share of the
// partitions, and in a cluster for one, which has to be on one shard.
type feed struct {
	bus     *Bus
	index   int
	sharded bool
	wake    chan struct{} // there is something to subscribe to or to unsubscribe
	reading chan struct{} // holds a token while a partition's log is read: one at a time

	mu      sync.Mutex
	topics  map[string]*topic // by Redis's channel
	parts   map[string]*part  // by the canary's channel
	byIndex map[int]*part
	awaited map[*topic]bool // those that somebody waits for
	idle    []*topic        // in the order in which they became so
	queue   []request
	line    *line // nil while there is none
	heard   time.Time
	broke   time.Time // when the last connection ended
	backoff time.Duration
}

// line is one connection.
type line struct {
	pubsub *redis.PubSub
	began  time.Time
}

// request is something to tell Redis.
type request struct {
	unsubscribe bool
	channel     string
}

// makeFeeds spreads the partitions over feeds.
func (b *Bus) makeFeeds() {
	count, sharded := plainFeeds, false
	if b.config.mode == cluster {
		count, sharded = partitions, true
	}
	for i := range count {
		f := &feed{
			bus: b, index: i, sharded: sharded, wake: make(chan struct{}, 1), heard: time.Now(),
			topics: make(map[string]*topic), parts: make(map[string]*part), byIndex: make(map[int]*part),
			awaited: make(map[*topic]bool), reading: make(chan struct{}, 1),
		}
		for p := i; p < partitions; p += count {
			part := &part{index: p}
			f.parts[b.keys.canary(p, b.id)], f.byIndex[p] = part, part
		}
		b.feeds = append(b.feeds, f)
	}
}

func (b *Bus) feedFor(partition int) *feed { return b.feeds[partition%len(b.feeds)] }

func (b *Bus) feedOf(t hub.Topic) *feed { return b.feedFor(partitionOf(t)) }

func (f *feed) channelOf(t hub.Topic) string {
	return f.bus.keys.pubsubChannel(partitionOf(t), topicKey(t))
}

// run keeps a connection. In a cluster there is one only while something is
// listened to.
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
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue // nothing left to listen to
		}
		f.bus.stats.reconnects.Add(1)
		f.bus.lookAround(ctx)
		f.bus.log.Warn("a connection by which messages come has ended", "connection", f.index, "error", err)
		select {
		case <-time.After(f.delay()):
		case <-ctx.Done():
		}
	}
}

func (f *feed) needed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.sharded || len(f.topics) > 0
}

// delay is how long to wait before the next connection, longer each time while
// none works.
func (f *feed) delay() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backoff = min(max(2*f.backoff, 20*time.Millisecond), time.Second)
	return f.backoff
}

// listen opens a connection and reads it to its end.
func (f *feed) listen(ctx context.Context) error {
	l, channels := f.begin(ctx)
	defer f.end(l)
	ctx, cancel := context.WithCancel(ctx)
	// The first command opens the connection: in a cluster, to whoever has the
	// channels that it names.
	first := min(len(channels), maxSubscribe)
	if err := f.tell(ctx, l, false, channels[:first]); err != nil {
		cancel()
		return err
	}
	var writing sync.WaitGroup
	writing.Go(func() { f.write(ctx, l, channels[first:]) })
	defer writing.Wait()
	defer cancel()
	for {
		received, err := l.pubsub.Receive(ctx)
		if err == nil {
			err = f.receive(ctx, l, received)
		}
		if errors.Is(err, errNotNeeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

var (
	errNotNeeded = errors.New("nothing is listened to any more")
	errSurprise  = errors.New("redis has confirmed what was not asked: the connection was replaced, or the slot has moved")
	errBehind    = errors.New("too much has come before what was missed")
)

func (f *feed) receive(ctx context.Context, l *line, received any) error {
	switch r := received.(type) {
	case *redis.Message:
		if f.bus.room != nil {
			if err := f.bus.room(ctx); err != nil {
				return err
			}
		}
		return f.message(r.Channel, r.Payload)
	case *redis.Subscription:
		return f.answered(ctx, l, r)
	}
	return nil
}

// begin takes a new connection into use and returns what it has to subscribe to.
// Every partition then waits for its canary and its topics to be confirmed.
func (f *feed) begin(ctx context.Context) (*line, []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &line{began: time.Now()}
	if f.sharded {
		l.pubsub = f.bus.client.SSubscribe(ctx)
	} else {
		l.pubsub = f.bus.client.Subscribe(ctx)
	}
	f.line, f.queue = l, nil
	var channels []string
	for canary, p := range f.parts {
		p.ready, p.pending, p.ahead, p.bytes = false, 1, nil, 0
		channels = append(channels, canary)
	}
	for channel, t := range f.topics {
		if !t.wanted {
			delete(f.topics, channel)
			continue
		}
		t.asked, t.dropped, t.initial = 1, 0, true
		t.part.pending++
		channels = append(channels, channel)
	}
	return l, channels
}

// end is the connection's last.
func (f *feed) end(l *line) {
	f.mu.Lock()
	if f.line == l {
		f.line, f.broke = nil, time.Now()
	}
	for _, t := range f.topics {
		t.asked = 1 // nothing is confirmed any more
	}
	f.mu.Unlock()
	_ = l.pubsub.Close()
}

// hangUp ends the connection, if there is one.
func (f *feed) hangUp() {
	f.mu.Lock()
	l := f.line
	f.mu.Unlock()
	if l != nil {
		_ = l.pubsub.Close()
	}
}

// write tells Redis what to subscribe to: first all there is, then what comes.
func (f *feed) write(ctx context.Context, l *line, channels []string) {
	for part := range slices.Chunk(channels, maxSubscribe) {
		_ = f.tell(ctx, l, false, part)
	}
	for {
		select {
		case <-f.wake:
		case <-ctx.Done():
			return
		}
		for _, run := range f.requests(l) {
			_ = f.tell(ctx, l, run.unsubscribe, run.channels)
		}
	}
}

// tell sends one command. Where that fails the connection is ended, which its
// reader notices.
func (f *feed) tell(ctx context.Context, l *line, unsubscribe bool, channels []string) error {
	var err error
	switch {
	case f.sharded && unsubscribe:
		err = l.pubsub.SUnsubscribe(ctx, channels...)
	case f.sharded:
		err = l.pubsub.SSubscribe(ctx, channels...)
	case unsubscribe:
		err = l.pubsub.Unsubscribe(ctx, channels...)
	default:
		err = l.pubsub.Subscribe(ctx, channels...)
	}
	if err != nil {
		_ = l.pubsub.Close()
	}
	return err
}

// run of requests of one sort.
type requestRun struct {
	unsubscribe bool
	channels    []string
}

// requests takes what there is to tell, in order.
func (f *feed) requests(l *line) []requestRun {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.line != l {
		return nil
	}
	var runs []requestRun
	for _, r := range f.queue {
		last := len(runs) - 1
		if last < 0 || runs[last].unsubscribe != r.unsubscribe || len(runs[last].channels) == maxSubscribe {
			runs = append(runs, requestRun{unsubscribe: r.unsubscribe})
			last++
		}
		runs[last].channels = append(runs[last].channels, r.channel)
	}
	f.queue = nil
	return runs
}

// ask queues a request. The lock is held.
func (f *feed) ask(r request) {
	if f.line != nil {
		f.queue = append(f.queue, r)
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// answered takes a confirmation.
func (f *feed) answered(ctx context.Context, l *line, s *redis.Subscription) error {
	unsubscribed := s.Kind == "unsubscribe" || s.Kind == "sunsubscribe"
	f.mu.Lock()
	if p := f.parts[s.Channel]; p != nil {
		defer f.mu.Unlock()
		if unsubscribed || p.ready {
			return errSurprise
		}
		f.counted(ctx, l, p)
		return nil
	}
	t := f.topics[s.Channel]
	if t == nil {
		f.mu.Unlock()
		return errSurprise
	}
	var err error
	if unsubscribed {
		err = f.unsubscribed(t)
	} else {
		err = f.subscribed(ctx, l, t)
	}
	var waiting []waiter
	if err == nil && t.confirmed() {
		waiting, t.waiting = t.waiting, nil
		delete(f.awaited, t)
	}
	f.mu.Unlock()
	for _, w := range waiting {
		w.done(nil)
	}
	return err
}

func (f *feed) subscribed(ctx context.Context, l *line, t *topic) error {
	if t.asked == 0 {
		return errSurprise
	}
	t.asked--
	if t.first == nil {
		t.first = l
	}
	if t.initial {
		t.initial = false
		f.counted(ctx, l, t.part)
	}
	return nil
}

func (f *feed) unsubscribed(t *topic) error {
	if t.dropped == 0 {
		return errSurprise
	}
	t.dropped--
	if !t.wanted && t.dropped == 0 {
		delete(f.topics, t.channel)
		if f.sharded && len(f.topics) == 0 {
			return errNotNeeded
		}
	}
	return nil
}

// counted notes one confirmation of those that a partition waits for; after the
// last it reads what it has missed.
func (f *feed) counted(ctx context.Context, l *line, p *part) {
	p.pending--
	if p.pending == 0 {
		f.bus.running.Go(func() { f.catchUp(ctx, l, p) })
	}
}

// message takes what was published.
func (f *feed) message(channel, payload string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.parts[channel]; p != nil {
		return f.canary(p, payload)
	}
	seq, body, err := cutSeq(payload)
	if err != nil {
		return err
	}
	t := f.topics[channel]
	if t == nil {
		return nil
	}
	f.bus.stats.received(seq, len(body), f.bus.skew[t.part.index].Load())
	if !t.part.ready {
		return t.part.keep(arrival{channel, seq, body})
	}
	t.part.mark = max(t.part.mark, seq)
	return t.deliver(seq, body)
}

// canary takes the node's own sign of life, which says how far the partition was
// when it was sent.
func (f *feed) canary(p *part, payload string) error {
	seq, err := strconv.ParseUint(payload, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: canary %q", errMalformed, payload)
	}
	f.heard, f.backoff = time.Now(), 0
	if p.ready {
		p.mark = max(p.mark, seq)
	}
	return nil
}

func (p *part) keep(a arrival) error {
	p.ahead = append(p.ahead, a)
	p.bytes += len(a.body)
	if p.bytes > maxAhead {
		return errBehind
	}
	return nil
}

// live says whether canaries should be sent.
func (f *feed) live() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.line != nil
}

// note learns how far a partition is. That counts only while nothing is listened
// to, when nothing can be missed.
func (f *feed) note(partition int, seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.topics) == 0 {
		p := f.byIndex[partition]
		p.mark = max(p.mark, seq)
	}
}

// age is for how long nothing has come, where something should.
func (f *feed) age(now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sharded && len(f.topics) == 0 {
		return 0
	}
	return now.Sub(f.heard)
}
