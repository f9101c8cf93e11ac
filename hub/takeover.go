package hub

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"channels/protocol"
)

// A token belongs to the connection that has claimed it last, at its first subscribe or
// signin: pusher-js opens several transports side by side, and keeps one. Whoever had it
// before says how far it had come, on whatever node it is.

const (
	// surrenderPatience is how long the connection that had the token is waited for.
	surrenderPatience = 500 * time.Millisecond
	// endKept is how long a node knows the end of a connection: until the State has it, and
	// a claim that was there first has asked.
	endKept = 10 * time.Second
	// proofTime is how long a connection that has lost its token may take to show that it
	// lives. Else it is the one that the client has given up.
	proofTime = 10 * time.Second
	// nodePrefix starts the names of the topics by which nodes talk. No client can
	// subscribe to them.
	nodePrefix = "#node-"
)

// resumes knows the tokens that connections of this node have.
type resumes struct {
	node  NodeID
	conns atomic.Uint64

	follows map[string]bool // ids of apps of which other nodes' letters come; SetApps's

	mu      sync.Mutex
	holders map[Token]holder
	asks    map[uint64]func(text []byte) // of other nodes, by number
	lastAsk uint64
	ends    []Token // of connections that have ended, oldest first
	pasts   pasts
}

// holder is a connection with a token, or how far it had come when it ended.
type holder struct {
	conn  *Conn // nil once it has ended
	owner Owner
	text  []byte
	at    time.Duration // when it has ended, since the hub's start
}

func newResumes() *resumes {
	r := &resumes{follows: make(map[string]bool), holders: make(map[Token]holder), asks: make(map[uint64]func([]byte))}
	_, _ = rand.Read(r.node[:]) // never fails
	return r
}

func (n NodeID) topic(app string) Topic {
	const digits = "0123456789abcdef"
	name := []byte(nodePrefix)
	for _, b := range n {
		name = append(name, digits[b>>4], digits[b&15])
	}
	return Topic{App: app, Channel: string(name)}
}

// followNode has the node hear of others that want a token, if the app has any. Only SetApps
// calls it.
func (h *Hub) followNode(app *App) {
	if app.Resume > 0 && !h.resumes.follows[app.ID] {
		h.resumes.follows[app.ID] = true
		h.bus.Follow(h.resumes.node.topic(app.ID), mailOf{h, app.ID}, ignoreError)
	}
}

func (h *Hub) unfollowNodes() {
	h.setting.Lock()
	defer h.setting.Unlock()
	for id := range h.resumes.follows {
		h.bus.Unfollow(h.resumes.node.topic(id), mailOf{h, id})
	}
}

// take gives a token to a connection of this node, or to nobody here, and returns who had
// it.
func (r *resumes) take(t Token, c *Conn) (old holder, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, known = r.holders[t]
	if c != nil {
		r.holders[t] = holder{conn: c, owner: c.resume.owner}
	} else {
		delete(r.holders, t)
	}
	return old, known
}

// giveBack undoes take.
func (r *resumes) giveBack(c *Conn, old holder, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := c.resume.token
	if r.holders[t].conn != c {
		return // somebody else has it by now
	}
	delete(r.holders, t)
	if known {
		r.holders[t] = old
	}
}

// end keeps what a connection had come to.
func (r *resumes) end(c *Conn, text []byte, now time.Duration) {
	t := c.resume.token
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, known := r.holders[t]; known && old.owner == c.resume.owner {
		r.holders[t] = holder{owner: old.owner, text: text, at: now}
		r.ends = append(r.ends, t)
	}
	r.forgetEnds(now)
}

// forgetEnds drops the ends that the State has known for long. The lock is held.
func (r *resumes) forgetEnds(now time.Duration) {
	for len(r.ends) > 0 {
		old, known := r.holders[r.ends[0]]
		ended := known && old.conn == nil
		if ended && now-old.at < endKept {
			return
		}
		if ended {
			delete(r.holders, r.ends[0])
		}
		r.ends = r.ends[1:]
	}
}

// claim finds out how far the connection had come that had the token, and takes it.
func (h *Hub) claim(c *Conn) {
	r := c.resume
	old, here := h.resumes.take(r.token, c)
	answer := func(text []byte, lost bool) { c.worker.post(&claimAnswer{ofConn{c}, text, lost}) }
	h.state.Claim(r.token, r.owner, c.app().Resume, func(was Claimed, err error) {
		switch {
		case err != nil:
			c.worker.post(&claimFailed{ofConn{c}, old, here})
		case here && old.owner == was.Owner:
			h.surrender(old, func(text []byte) { answer(text, text == nil) })
		case !was.Known:
			// A client that was here before the tokens were forgotten looks like one that
			// is new.
			answer(nil, was.Now-min(was.Now, was.Since) < uint64(c.app().Resume.Microseconds())) //nolint:gosec // not negative
		default:
			h.askHolder(c, was, answer)
		}
	})
}

// surrender has a connection of this node give up its token, and say how far it has come.
func (h *Hub) surrender(old holder, answer func(text []byte)) {
	if old.conn == nil {
		answer(old.text)
		return
	}
	old.conn.worker.post(&surrender{ofConn{old.conn}, answer})
}

// askHolder asks the node of the connection that had the token, unless it is known that it
// has ended.
func (h *Hub) askHolder(c *Conn, was Claimed, answer func(text []byte, lost bool)) {
	p, err := decodeProgress(was.Text)
	if ended := err == nil && p.ended && was.Own; ended || was.Owner.Node == h.resumes.node {
		answer(was.Text, !ended)
		return
	}
	var once sync.Once
	r := h.resumes
	r.mu.Lock()
	r.lastAsk++
	number := r.lastAsk
	finish := func(text []byte) {
		once.Do(func() {
			r.mu.Lock()
			delete(r.asks, number)
			r.mu.Unlock()
			if text == nil {
				answer(was.Text, true)
			} else {
				answer(text, false)
			}
		})
	}
	r.asks[number] = finish
	r.mu.Unlock()
	time.AfterFunc(surrenderPatience, func() { finish(nil) })
	h.mail(c.app().ID, was.Owner.Node, letter{kind: askLetter, number: number, from: r.node, hash: c.resume.token.Hash})
}

// letter is what nodes say to each other about tokens.
type letter struct {
	kind   byte
	number uint64 // of the ask
	from   NodeID
	hash   [16]byte // of the token, in an ask
	text   []byte   // in an answer
}

const (
	askLetter    = 'q'
	answerLetter = 'a'
)

func (h *Hub) mail(app string, to NodeID, l letter) {
	b := binary.BigEndian.AppendUint64([]byte{l.kind}, l.number)
	b = append(append(b, l.from[:]...), l.hash[:]...)
	h.bus.Publish(Message{Topic: to.topic(app), Frame: append(b, l.text...)}, ignoreError)
}

// mailOf takes the letters to this node.
type mailOf struct {
	hub *Hub
	app string
}

var _ Receiver = mailOf{}

// Lost implements Receiver: whoever asks does not wait for long.
func (mailOf) Lost() {}

// Receive implements Receiver.
func (m mailOf) Receive(msg Message) {
	const head = 1 + 8 + 8 + 16
	b := msg.Frame
	if len(b) < head {
		return
	}
	l := letter{kind: b[0], number: binary.BigEndian.Uint64(b[1:]), from: NodeID(b[9:17]), hash: [16]byte(b[17:33]), text: b[head:]}
	switch l.kind {
	case askLetter:
		if old, here := m.hub.resumes.take(Token{App: m.app, Hash: l.hash}, nil); here {
			m.hub.surrender(old, func(text []byte) {
				m.hub.mail(m.app, l.from, letter{kind: answerLetter, number: l.number, text: text})
			})
		}
	case answerLetter:
		r := m.hub.resumes
		r.mu.Lock()
		finish := r.asks[l.number]
		r.mu.Unlock()
		if finish != nil && len(l.text) > 0 {
			finish(l.text)
		}
	}
}

// claimFirst has a command wait until it is known what the client's token stands for.
func (w *worker) claimFirst(c *Conn, cmd command) bool {
	r := c.resume
	if r == nil || r.stage == claimed {
		return false
	}
	if c.waiting+cmd.cost() > w.hub.maxHeld {
		return false
	}
	r.waiting = append(r.waiting, cmd)
	r.bytes += cmd.cost()
	c.waiting += cmd.cost()
	w.hub.ledger.charge(c.usage, cmd.cost())
	if r.stage == unclaimed {
		r.stage = claiming
		w.hub.claim(c)
	}
	return true
}

// stopClaiming forgets what has waited for the claim, and returns it.
func (w *worker) stopClaiming(c *Conn) []command {
	r := c.resume
	commands := r.waiting
	r.waiting = nil
	c.waiting -= r.bytes
	w.hub.ledger.release(c.usage, r.bytes)
	r.bytes = 0
	return commands
}

// claimFailed ends a connection that could not claim its token, to which nothing was sent: else
// it would be known of the client that it had come less far than it has. Clients try again
// after a second.
func (w *worker) claimFailed(c *Conn, old holder, known bool) {
	r := c.resume
	r.gone = true
	w.hub.resumes.giveBack(c, old, known)
	heirs := r.heirs
	r.heirs = nil
	for _, answer := range heirs {
		if known {
			w.hub.surrender(old, answer)
		} else {
			answer(nil)
		}
	}
	w.close(c, protocol.OverCapacity(), Backend)
}

// claimAnswered goes on with a connection that knows how far the last one has come. lost:
// that is not all.
func (w *worker) claimAnswered(c *Conn, text []byte, lost bool) {
	r := c.resume
	r.stage, r.blind = claimed, lost
	if p, err := decodeProgress(text); err == nil {
		r.until, r.earlier = p.until, p.ids
		if !p.ended || lost {
			r.until = 0
		}
		r.held = make(map[uint64]uint64, len(p.places))
		for _, at := range p.places {
			r.held[at.channel] = at.seq
		}
	}
	heirs := r.heirs
	r.heirs = nil
	for _, answer := range heirs {
		w.surrendered(c, answer)
	}
	if c.closed {
		w.keepEnd(c) // for the next one
		return
	}
	w.carryOut(w.stopClaiming(c))
}

// surrendered says how far a connection has come, which has its token no more. It shows
// within proofTime that it lives, and goes on as one without a token; or is closed.
func (w *worker) surrendered(c *Conn, answer func(text []byte)) {
	r := c.resume
	if r.stage == claiming && !r.gone {
		r.heirs = append(r.heirs, answer)
		return
	}
	if r.gone {
		answer(r.ended)
		return
	}
	text := w.endedProgress(c)
	r.gone = true
	answer(text)
	if c.closed {
		return
	}
	before := c.seen.Load()
	w.send(c, protocol.PingFrame())
	time.AfterFunc(proofTime, func() {
		if c.seen.Load() == before {
			c.worker.post(&closing{ofConn{c}, protocol.PongMissing(), Silent})
		}
	})
}
