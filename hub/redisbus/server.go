package redisbus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a Redis that takes writes, and what this node keeps to it: pipelines,
// connections by which messages come, and a watch. What is wrong with one server
// touches only the partitions that it has.
type server struct {
	bus      *Bus
	addr     string
	commands *redis.Client // for what partitions have to say
	beats    *redis.Client // for signs of life, which wait for nothing else
	lanes    [lanesPerServer]*lane
	feeds    []*feed
	skew     atomic.Int64 // the server's clock less Bus.sinceStart, in µs; 0 = not known
	broken   atomic.Pointer[error]
	evicts   atomic.Bool // it drops keys when it is full
	wake     chan struct{}

	// The watch's own.
	runID    string
	told     bool // that it is out of reach
	policyAt time.Time
	badly    bool // that its eviction policy is wrong
}

// newServer returns a server with its parts; start runs them.
func newServer(b *Bus, addr string) *server {
	s := &server{bus: b, addr: addr, wake: make(chan struct{}, 1)}
	if addr == "" {
		s.addr = b.config.String()
	}
	s.commands = b.config.open(addr, commandConns, commandConns)
	s.beats = b.config.open(addr, beatConns, beatConns)
	for i := range s.lanes {
		s.lanes[i] = newLane(s)
	}
	count := plainFeeds
	if b.sharded {
		count = 1
	}
	for i := range count {
		s.feeds = append(s.feeds, newFeed(s, i))
	}
	return s
}

func (s *server) start(ctx context.Context) {
	for _, l := range s.lanes {
		s.bus.running.Go(func() { l.run(ctx) })
	}
	for _, f := range s.feeds {
		s.bus.running.Go(func() { f.run(ctx) })
	}
	s.bus.running.Go(func() { s.watch(ctx) })
}

func (s *server) close() {
	_ = s.commands.Close()
	_ = s.beats.Close()
}

func (s *server) laneOf(partition int) *lane { return s.lanes[partition%len(s.lanes)] }
func (s *server) feedOf(partition int) *feed { return s.feeds[partition%len(s.feeds)] }

// look has the watch's next round come at once.
func (s *server) look() { wakeUp(s.wake) }

// failing notes that the server has not answered a partition as it should.
func (s *server) failing() {
	if s.bus.sharded {
		s.bus.router.look()
	}
	s.look()
}

// watch asks the server each second how it is, and those partitions what is the
// matter that do not work.
func (s *server) watch(ctx context.Context) {
	pause, failing := jittered(beatInterval), time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-time.After(pause):
		}
		if s.round(ctx) == nil {
			pause, failing = jittered(beatInterval), 0
		} else { // soon, then less often
			failing = min(max(2*failing, failingPause), beatInterval)
			pause = jittered(failing)
		}
		// However many want it, rounds have some time between them.
		select {
		case <-time.After(jittered(roundPause)):
		case <-ctx.Done():
			return
		}
	}
}

// jittered keeps nodes that start together from beating together.
func jittered(d time.Duration) time.Duration {
	return d - d/10 + time.Duration(rand.Int64N(int64(d/5)+1)) //nolint:gosec // not for secrecy
}

// round is one look at the server.
func (s *server) round(ctx context.Context) error {
	pipe := s.beats.Pipeline()
	info := pipe.Info(ctx, "server")
	canaries := s.sendCanaries(ctx, pipe)
	visits := s.visits(ctx, pipe)
	sent := time.Now()
	_, _ = pipe.Exec(ctx) // every command has its error
	received := time.Now()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err := s.readInfo(info)
	for _, c := range canaries {
		s.readCanary(ctx, c, sent, received)
	}
	failed := err
	for _, v := range visits {
		if reply, err := answerOf(v.command); err == nil && s.skew.Load() == 0 {
			s.readClock(reply, sent, received) // a node that has just come has no other answer yet
		}
		if err := v.read(ctx); err != nil {
			failed = err
		}
	}
	if err == nil {
		s.bus.stats.beats.Observe(received.Sub(sent))
		s.checkPolicy(ctx)
	}
	return failed
}

// readInfo notes whether the server answers, and whether it is still the same: one
// that was started anew, or has taken over, may have forgotten anything.
func (s *server) readInfo(info *redis.StringCmd) error {
	text, err := info.Result()
	if err != nil && !isReply(err) || err != nil && outcomeOf(nil, err) == notDone && !isDenied(err) {
		s.outOfReach(err)
		return err
	}
	s.inReach()
	found := runIDLine.FindStringSubmatch(text)
	if found == nil {
		return nil // not to be had here
	}
	if s.runID != "" && s.runID != found[1] {
		s.replaced()
	}
	s.runID = found[1]
	return nil
}

// outOfReach has all partitions refuse at once what would have to wait.
func (s *server) outOfReach(err error) {
	s.broken.Store(&err)
	if !s.told {
		s.told = true
		s.bus.log.Warn("redis is out of reach", "server", s.addr, "error", err)
	}
	for _, o := range s.partitions() {
		o.fail(err)
	}
}

func (s *server) inReach() {
	s.broken.Store(nil)
	if s.told {
		s.told = false
		s.bus.log.Info("redis is back", "server", s.addr)
	}
}

// replaced is for a server that is another now.
func (s *server) replaced() {
	s.bus.log.Warn("redis was started anew, or replaced: telling it what this node has", "server", s.addr)
	s.policyAt = time.Time{}
	// Names hang on leases, so those come first: of a node that dies in between,
	// names would be left that hang on none.
	for _, p := range s.bus.pulses {
		if s.bus.out[p.home].server.Load() == s {
			p.look()
		}
	}
	for _, o := range s.partitions() {
		o.doubt(false)
		s.bus.pulses[s.bus.keys.groupOf(o.index)].noteLoss()
	}
	// What comes by the old connections may come from a server that is not the
	// master any more.
	for _, f := range s.feeds {
		f.hangUp()
	}
	s.look()
}

// partitions are those that the server has.
func (s *server) partitions() []*outgoing {
	var mine []*outgoing
	for _, o := range s.bus.out {
		if o.server.Load() == s {
			mine = append(mine, o)
		}
	}
	return mine
}

// sendCanaries sends each connection by which messages come a sign of life.
func (s *server) sendCanaries(ctx context.Context, pipe redis.Pipeliner) []*redis.Cmd {
	var sent []*redis.Cmd
	for _, f := range s.feeds {
		if p, channel, ok := f.canary(); ok {
			sent = append(sent, s.bus.eval(ctx, pipe, p, "", canaryCall{channel}))
		}
	}
	return sent
}

func (s *server) readCanary(ctx context.Context, c *redis.Cmd, sent, received time.Time) {
	reply, err := answerOf(c)
	if outcomeOf(reply, err) == notLoaded {
		_ = s.loadScripts(ctx)
	}
	if err == nil {
		s.readClock(reply, sent, received)
	}
}

// readClock takes the time out of an answer.
func (s *server) readClock(reply []any, sent, received time.Time) {
	if len(reply) > 1 {
		s.noteClock(reply[1], sent, received)
	}
}

// noteClock learns how the server's clock differs from ours, when it has answered
// fast enough to tell. Until then a slow answer says what time it is at least.
func (s *server) noteClock(micros any, sent, received time.Time) {
	word, _ := micros.(string)
	trip, theirs := received.Sub(sent), digitsOf(word)
	switch {
	case theirs == 0:
	case trip <= fastTrip:
		s.skew.Store((int64(theirs) - s.bus.sinceStart(sent.Add(trip/2))) | 1) // 0 means not known
	case s.skew.Load() == 0:
		s.skew.Store((int64(theirs) - s.bus.sinceStart(received)) | 1)
	}
}

// noteLate learns the clock from a refusal: it was set, or the answer was slow.
func (s *server) noteLate(reply []any) {
	if len(reply) > 1 {
		now := time.Now()
		s.noteClock(reply[1], now, now)
	}
}

// now is the time at the server, in µs since 1970; 0 = not known. A step of this
// machine's wall clock does not change it.
func (s *server) now() uint64 {
	skew := s.skew.Load()
	if skew == 0 {
		return 0
	}
	return uint64(max(0, s.bus.sinceStart(time.Now())+skew))
}

// localTime is when it was some time at the server, by this machine's clock, with a
// monotonic reading; now if the server's clock is not known.
func (s *server) localTime(micros uint64) time.Time {
	now := time.Now()
	if at := s.now(); at > 0 {
		return now.Add(time.Duration(int64(micros)-int64(at)) * time.Microsecond) //nolint:gosec // both are times
	}
	return now
}

// deadline is when a script that is sent now is too late, by the server's clock,
// in µs; 0 = never.
func (s *server) deadline() uint64 {
	if now := s.now(); now > 0 {
		return now + uint64(doneBy.Microseconds())
	}
	return 0
}

// isDenied says that a command is not allowed here.
func isDenied(err error) bool { return redis.IsPermissionError(err) }

// router knows which server has which partition.
type router struct {
	bus  *Bus
	wake chan struct{}

	mu      sync.Mutex
	servers map[string]*server
}

func newRouter(b *Bus) *router {
	return &router{bus: b, wake: make(chan struct{}, 1), servers: make(map[string]*server)}
}

// look has the servers looked up again, soon.
func (r *router) look() {
	if c, ok := r.bus.reads.(*redis.ClusterClient); ok {
		c.ReloadState(context.Background())
	}
	wakeUp(r.wake)
}

// all returns the servers.
func (r *router) all() []*server {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*server, 0, len(r.servers))
	for _, s := range r.servers {
		list = append(list, s)
	}
	return list
}

// at returns the server at an address, which may be new.
func (r *router) at(ctx context.Context, addr string) *server {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.servers[addr]
	if s == nil {
		s = newServer(r.bus, addr)
		r.servers[addr] = s
		if r.bus.started {
			s.start(ctx)
		}
	}
	return s
}

// run follows slots that move, in a cluster.
func (r *router) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-time.After(jittered(beatInterval)):
		}
		_ = r.refresh(ctx)
		select {
		case <-time.After(jittered(routePause)):
		case <-ctx.Done():
			return
		}
	}
}

// refresh gives each partition to the server that has it.
func (r *router) refresh(ctx context.Context) error {
	c, ok := r.bus.reads.(*redis.ClusterClient)
	for p, o := range r.bus.out {
		addr := ""
		if ok {
			master, err := c.MasterForKey(ctx, r.bus.keys.tags[p])
			if err != nil {
				return err
			}
			addr = master.Options().Addr
		}
		if s := r.at(ctx, addr); o.server.Load() != s {
			r.move(o, s)
		}
	}
	for _, in := range r.bus.in {
		in.settle()
	}
	return nil
}

// move gives a partition to a server. One that had it before may have been ahead
// of this one.
func (r *router) move(o *outgoing, s *server) {
	o.mu.Lock()
	before := o.server.Swap(s)
	if before != nil && o.name != "" {
		o.entered, o.lost = false, true
	}
	o.mu.Unlock()
	if before != nil {
		s.look()
	}
}

var errNotReached = errors.New("redis has not been reached")

// Err implements hub.Bus: why nothing at all can be published or joined, or nil.
func (b *Bus) Err() error {
	for _, o := range b.out {
		if o.down.Load() == nil {
			return nil
		}
	}
	if err := b.out[0].err(); err != nil {
		return err
	}
	return unavailable(errNotReached)
}

// Ready is why the node should be given no clients, or nil: what is published
// does not reach it, although Redis takes it. While Redis itself is away every
// node is as good as any other, so that is none.
func (b *Bus) Ready() error {
	for _, s := range b.router.all() {
		if s.broken.Load() != nil {
			continue
		}
		for _, f := range s.feeds {
			if age, full := f.age(time.Now()); age > canaryPatience {
				return unavailable(&silentError{s.addr, f.index, age, full})
			}
		}
	}
	return nil
}

// silentError says that nothing comes by a connection.
type silentError struct {
	server string
	index  int
	age    time.Duration
	full   bool // because the node does not read it
}

// Error implements error.
func (e *silentError) Error() string {
	why := ""
	if e.full {
		why = ", since the node has no room for it"
	}
	return fmt.Sprintf("nothing has come by connection %d from %s for %v%s", e.index, e.server, e.age.Round(100*time.Millisecond), why)
}
