package redisbus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"channels/hub"
	"channels/protocol"
)

// incoming is the half of a partition by which messages come: the topics that the
// node listens to, the connection by which it does, and up to where nothing is
// missing. Its lock is never held while something is read or written.
type incoming struct {
	bus   *Bus
	index int

	mu      sync.Mutex
	topics  map[string]*topic // by Redis's channel
	awaited map[*topic]bool   // those that somebody waits for
	joining map[*topic]bool   // those whose roster somebody waits for
	idle    []*topic          // in the order in which they became so
	feed    *feed             // whose connection it is to use; nil = none yet
	line    *line             // the connection that it uses; nil while there is none

	// Up to where nothing is missing. A number is the server's time, or later; so
	// what came before a canary has a number no higher than the canary's time.
	mark     uint64 // from where on the log is read after a break
	received uint64 // the highest number that came
	events   logged // the last event that came
	gap      gap    // the last break

	ready   bool // nothing is missing; until then what comes is kept
	pending int  // confirmations that it waits for
	ahead   []arrival
	bytes   int // of ahead

	// Announcements have an order of the node's own, since a roster that is read
	// after a loss tells of changes that have no number in Redis's.
	announced uint64 // the last one's number

	judging bool   // Redis has forgotten something, perhaps something that has not come
	judged  uint64 // what was logged up to here has come
}

// arrival is a message that came.
type arrival struct {
	channel string // of Redis
	seq     uint64
	body    string
}

// maxAhead is what a partition may keep while it catches up, in bytes.
const maxAhead = 16 << 20

func newIncoming(b *Bus, index int) *incoming {
	return &incoming{bus: b, index: index, announced: 1, topics: make(map[string]*topic), awaited: make(map[*topic]bool), joining: make(map[*topic]bool)}
}

func (in *incoming) channelOf(t hub.Topic) string {
	return in.bus.keys.pubsubChannel(in.index, topicKey(t))
}

// follow has a topic's messages given to r.
func (in *incoming) follow(name hub.Topic, r hub.Receiver, done func(error)) {
	in.mu.Lock()
	first := len(in.topics) == 0
	t := in.topic(name)
	t.receiver, t.wanted = r, true
	in.want(t)
	if t.state == on {
		in.mu.Unlock()
		done(nil)
		return
	}
	t.waiting = append(t.waiting, waitingFollow{time.Now().Add(patience), done})
	in.awaited[t] = true
	in.mu.Unlock()
	if first {
		in.settle()
	}
}

// topic returns a topic, which may be new. The lock is held.
func (in *incoming) topic(name hub.Topic) *topic {
	channel := in.channelOf(name)
	t := in.topics[channel]
	if t == nil {
		t = &topic{name: name, channel: channel}
		t.reset()
		if keepsRoster(name) {
			t.roster = new(roster)
		}
		in.topics[channel] = t
	}
	return t
}

// want sends what follows from a topic's being wanted or not. The lock is held.
func (in *incoming) want(t *topic) {
	if in.line == nil {
		return
	}
	var send command
	if t.state, send = t.state.want(t.wanted); send != nothing {
		in.line.send(send, in.index, t.channel)
	}
}

// settle has the partition listened to by a connection to the server that has it.
func (in *incoming) settle() {
	to := in.bus.out[in.index].server.Load().feedOf(in.index)
	in.mu.Lock()
	needed := len(in.topics) > 0
	before, l := in.feed, in.line
	if before == to && (l != nil || !needed) || before == nil && !needed {
		in.mu.Unlock()
		return
	}
	in.feed = to
	in.mu.Unlock()
	if before != nil && before != to {
		before.remove(in)
	}
	to.add(in)
}

// attach has the partition's topics subscribed to by a new connection. It then
// waits for all to be confirmed, and reads what they may have missed.
func (in *incoming) attach(l *line) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.line != nil {
		return
	}
	in.line, in.ready, in.pending, in.ahead, in.bytes = l, false, 0, nil, 0
	old := false
	for channel, t := range in.topics {
		t.state = off
		if !t.wanted {
			delete(in.topics, channel)
			continue
		}
		t.initial = true
		in.pending++
		old = old || t.old
		in.want(t)
	}
	if !old {
		// Nobody can have missed anything.
		in.mark = max(in.mark, l.since)
		in.gap, in.ready = gap{}, true
	} else if in.pending == 0 {
		in.ready = true
	}
}

// detach is the end of a connection for the partition.
func (in *incoming) detach(l *line) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.line != l {
		return
	}
	in.line = nil
	if in.ready {
		in.mark = max(in.mark, in.received, behind(l.clock.Load()))
		in.gap.begin(max(in.received, l.workedUntil()), in.events, in.judging)
	}
	in.ready, in.pending, in.ahead, in.bytes = false, 0, nil, 0
	for channel, t := range in.topics {
		t.state = off
		if !t.wanted {
			delete(in.topics, channel)
		}
	}
}

// behind is a time less what clocks may differ by.
func behind(micros uint64) uint64 {
	return micros - min(micros, uint64(clockMargin.Microseconds()))
}

// confirmed takes a confirmation. It says whether it was asked for.
func (in *incoming) confirmed(ctx context.Context, l *line, of command, channel string) bool {
	in.mu.Lock()
	if in.line != l {
		in.mu.Unlock()
		return true // of what was moved meanwhile
	}
	t := in.topics[channel]
	if t == nil {
		in.mu.Unlock()
		return false
	}
	var expected bool
	if t.state, expected = t.state.confirm(of); !expected {
		in.mu.Unlock()
		return false
	}
	var waiting []waitingFollow
	switch t.state {
	case on:
		waiting, t.waiting = t.waiting, nil
		delete(in.awaited, t)
		if t.initial {
			t.initial = false
			in.counted(ctx, l)
		}
		if in.ready {
			t.old = true
		}
	case off:
		if !t.wanted {
			delete(in.topics, channel)
		}
	}
	in.want(t)
	in.mu.Unlock()
	for _, w := range waiting {
		w.done(nil)
	}
	return true
}

// counted notes one confirmation of those that the partition waits for; after the
// last it reads what it has missed. The lock is held.
func (in *incoming) counted(ctx context.Context, l *line) {
	in.pending--
	if in.pending == 0 && !in.ready {
		in.bus.running.Go(func() { in.catchUp(ctx, l) })
	}
}

// message takes what was published.
func (in *incoming) message(l *line, channel, payload string) error {
	seq, body, err := cutSeq(payload)
	if err != nil {
		return err
	}
	in.mu.Lock()
	t := in.topics[channel]
	if t == nil || in.line != l {
		in.mu.Unlock()
		return nil
	}
	err = in.take(t, seq, body)
	var over []func()
	if len(t.joining) > 0 {
		over = in.joined(t, time.Now())
	}
	in.mu.Unlock()
	for _, answer := range over {
		answer()
	}
	return err
}

// take takes a message of a topic. The lock is held.
func (in *incoming) take(t *topic, seq uint64, body string) error {
	in.bus.stats.received(len(body))
	if !in.ready {
		in.ahead = append(in.ahead, arrival{t.channel, seq, body})
		in.bytes += len(body)
		if in.bytes > maxAhead {
			return errBehind
		}
		return nil
	}
	in.note(t, seq, body)
	return in.deliver(t, seq, body)
}

// note notes the number of what came. The lock is held.
func (in *incoming) note(t *topic, seq uint64, body string) {
	in.received = max(in.received, seq)
	if isEvent(body) {
		in.events = in.events.later(logged{seq, appKey(t.name.App)})
	}
}

// deliver gives a message to its topic. One of a kind that a newer version sends
// is counted, and no more. The lock is held.
func (in *incoming) deliver(t *topic, seq uint64, body string) error {
	b, err := parseBody(body)
	if err != nil {
		return err
	}
	if b.kind == unknownKind {
		in.bus.stats.unknownKinds.Add(1)
		return nil
	}
	if seq > t.last {
		t.last = seq
		in.hand(t, t.news(seq, b))
	}
	if b.kind == sumKind && t.roster != nil && !t.roster.agrees(b.rest) {
		in.bus.comparer.check(in, t.name)
	}
	return nil
}

// hand gives a topic's receiver what is new. The lock is held.
func (in *incoming) hand(t *topic, news []hub.Message) {
	for _, m := range news {
		if m.Seq == 0 {
			in.announced++
			m.Seq = in.announced
		}
		if t.receiver != nil {
			t.receiver.Receive(m)
		}
	}
}

// highest is the highest number that came, and the last event that had come before the
// last break, if that may have been the one at which Redis has lost something. Other
// messages that are lost are made up for: rosters are compared.
func (in *incoming) highest() (received uint64, event logged) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.gap.recent() {
		return in.received, in.gap.events
	}
	return in.received, in.events
}

// listensTo says whether a topic is followed, or was until lately.
func (in *incoming) listensTo(name hub.Topic) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.topics[in.channelOf(name)] != nil
}

// unfollow lets a topic linger, if r is still its receiver.
func (in *incoming) unfollow(name hub.Topic, r hub.Receiver) {
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.topics[in.channelOf(name)]
	if t == nil || t.receiver != r {
		return
	}
	t.receiver = nil
	t.idle = time.Now()
	in.idle = append(in.idle, t)
}

// sweep leaves what has lingered long enough, and gives up on those who have
// waited too long.
func (in *incoming) sweep(now time.Time) {
	in.mu.Lock()
	late := in.overdue(now)
	var joined []func()
	for t := range in.joining {
		joined = append(joined, in.joined(t, now)...)
	}
	for len(in.idle) > 0 && now.Sub(in.idle[0].idle) >= linger {
		in.drop(in.idle[0])
		in.idle[0] = nil
		in.idle = in.idle[1:]
	}
	var over *feed
	if len(in.topics) == 0 && in.bus.sharded {
		over, in.feed = in.feed, nil
	}
	in.mu.Unlock()
	for _, w := range late {
		w.done(fmt.Errorf("%w: redis has not confirmed in time", hub.ErrUnavailable))
	}
	for _, answer := range joined {
		answer()
	}
	if over != nil {
		over.remove(in)
	}
}

// drop unsubscribes from a topic that nobody has come back to. The lock is held.
func (in *incoming) drop(t *topic) {
	if t.receiver != nil || !t.wanted || in.topics[t.channel] != t || time.Since(t.idle) < linger {
		return
	}
	if len(t.waiting) > 0 { // they are answered first
		t.idle = time.Now()
		in.idle = append(in.idle, t)
		return
	}
	t.wanted = false
	if in.line == nil {
		delete(in.topics, t.channel)
		return
	}
	in.want(t)
}

// overdue takes those who have waited too long. The lock is held.
func (in *incoming) overdue(now time.Time) []waitingFollow {
	var late []waitingFollow
	for t := range in.awaited {
		kept := t.waiting[:0]
		for _, w := range t.waiting {
			if now.Before(w.until) {
				kept = append(kept, w)
			} else {
				late = append(late, w)
			}
		}
		t.waiting = kept
		if len(kept) == 0 {
			delete(in.awaited, t)
		}
	}
	return late
}

// lose tells every receiver that it may have missed something.
func (in *incoming) lose() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.loseAll(0, nil)
}

// loseAll tells those that had been told of their channel at a place in the order; 0
// = all; and that are of some apps; nil = of any. It returns how many there were. The lock
// is held.
func (in *incoming) loseAll(before uint64, of map[string]bool) int {
	told := 0
	for _, t := range in.topics {
		if before > 0 && t.floor > before || of != nil && !of[appKey(t.name.App)] {
			continue
		}
		if t.lose() {
			told++
		}
	}
	return told
}

// rosters lists the topics on which it matters who is there.
func (in *incoming) rosters() []hub.Topic {
	in.mu.Lock()
	defer in.mu.Unlock()
	var names []hub.Topic
	for _, t := range in.topics {
		if t.roster != nil && t.wanted && t.roster.known {
			names = append(names, t.name)
		}
	}
	return names
}

// agrees says whether a topic's roster adds up to a sum that Redis has.
func (in *incoming) agrees(name hub.Topic, sum string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.topics[in.channelOf(name)]
	return t == nil || t.roster == nil || t.roster.agrees(sum)
}

// expectRoster has announcements kept until what is known of a topic's roster is
// replaced. It returns that, nil when nothing is known.
func (in *incoming) expectRoster(name hub.Topic) *roster {
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.topics[in.channelOf(name)]
	if t == nil || t.roster == nil || !t.roster.expect() {
		return nil
	}
	return t.roster
}

// unexpectRoster is for an answer that has not come.
func (in *incoming) unexpectRoster(r *roster) {
	in.mu.Lock()
	defer in.mu.Unlock()
	r.unexpect()
}

// replaceRoster replaces what was known, unless that was forgotten meanwhile, and
// tells the receiver what is new.
func (in *incoming) replaceRoster(name hub.Topic, r *roster, seq uint64, members []protocol.Member) {
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.topics[in.channelOf(name)]
	if t != nil && t.roster == r {
		in.hand(t, r.replace(t.name, seq, members))
	}
}

// place returns the place in the order of what the node was given last on a topic
// that it listens to, and that others have joined; false where it does not.
func (in *incoming) place(name hub.Topic) (seq uint64, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.topics[in.channelOf(name)]
	if t == nil || t.state != on || !in.ready || t.floor == 0 {
		return 0, false
	}
	return t.place(), true
}

// knowsRoster says whether a topic's roster is known, so that Redis need not be
// asked.
func (in *incoming) knowsRoster(name hub.Topic) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.topics[in.channelOf(name)]
	return t != nil && t.roster != nil && t.roster.known
}

// joining is an answer to a subscriber that waits for the node's roster to be what
// it was when Redis answered.
type joining struct {
	verdict *verdict
	sum     string
	member  *protocol.Member // who joins
	until   time.Time
	done    func(members []protocol.Member, roster uint64)
}

// learn notes what a subscriber is answered, and gives done the roster, whole, and
// its place in the order of announcements.
//
// Once the node knows a roster, it is what all its sockets are told, since what is
// announced later comes on top of it. It is given as soon as it adds up to what
// Redis had. Until then announcements are under way; or, after a loss, it is not
// right yet, and what sets it right will be told to all.
func (in *incoming) learn(name hub.Topic, v *verdict, member *protocol.Member, done func([]protocol.Member, uint64)) {
	in.mu.Lock()
	t := in.topics[in.channelOf(name)]
	if t != nil && t.floor == 0 {
		t.floor = v.seq
	}
	if t == nil || t.roster == nil {
		in.mu.Unlock()
		done(v.members, 0)
		return
	}
	if !t.roster.known {
		t.roster.start(v.seq, in.announced, v.members)
		members, place := t.roster.list(), in.announced
		in.mu.Unlock()
		done(members, place)
		return
	}
	sum := v.sum
	if v.members != nil {
		t.roster.refresh(v.members)
		sum = sumOfAll(v.members)
	}
	if member != nil {
		t.roster.refresh([]protocol.Member{*member})
	}
	t.joining = append(t.joining, joining{v, sum, member, time.Now().Add(rosterPatience), done})
	in.joining[t] = true
	over := in.joined(t, time.Now())
	in.mu.Unlock()
	for _, answer := range over {
		answer()
	}
}

// joined takes those whose wait for a roster is over. Who joins must be on it, since
// he would else be told of himself. The lock is held.
func (in *incoming) joined(t *topic, now time.Time) (over []func()) {
	kept := t.joining[:0]
	for _, w := range t.joining {
		members, place := t.roster.list(), in.announced
		switch {
		case t.roster.agrees(w.sum):
		case w.verdict.partial && t.roster.has(w.member):
		case now.After(w.until) && t.roster.has(w.member):
		case now.After(w.until.Add(ownPatience)):
			members = nil // his own announcement does not come
		default:
			kept = append(kept, w)
			continue
		}
		over = append(over, func() { w.done(members, place) })
	}
	clear(t.joining[len(kept):])
	if t.joining = kept; len(kept) == 0 {
		delete(in.joining, t)
	}
	return over
}

// leave has a connection, which goes on, not listen to the partition any more.
func (in *incoming) leave(l *line) {
	in.mu.Lock()
	if in.line == l {
		for channel, t := range in.topics {
			if t.state == asked || t.state == on {
				l.send(unsubscribe, in.index, channel)
			}
		}
	}
	in.mu.Unlock()
	in.detach(l)
}
