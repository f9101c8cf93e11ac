package hub

import (
	"unsafe"

	"channels/protocol"
)

// command is something for a worker to do that is not a message.
type command interface {
	do(w *worker)
	cost() int       // bytes that it holds, in all
	account() *usage // whose bytes they are
}

// ofConn is the part that commands about a connection share.
type ofConn struct{ conn *Conn }

func (o ofConn) account() *usage { return o.conn.usage }

// Commands about a connection.
type (
	// attach makes a new connection the worker's.
	attach struct{ ofConn }
	// depart says that the transport has ended.
	depart struct {
		ofConn
		end End
	}
	// closing ends the connection from the server's side.
	closing struct {
		ofConn
		fault  protocol.Fault
		reason CloseReason
	}
	// reply sends a frame, in its place among the other answers.
	reply struct {
		ofConn
		frame []byte
	}
	// refusal answers a subscribe that is not carried out.
	refusal struct {
		ofConn
		name  string
		fault protocol.Fault
	}
	// subscribe asks for a channel.
	subscribe struct {
		ofConn
		name   string
		member *protocol.Member // on a presence channel
	}
	// unsubscribe leaves a channel.
	unsubscribe struct {
		ofConn
		name string
	}
	// clientEvent goes to the other subscribers.
	clientEvent struct {
		ofConn
		name, event string
		data        []byte
	}
	// confirmed says that the client has got what came before the last probe.
	confirmed struct{ ofConn }
	// ponged says that the client has received what came before the probe with a number.
	ponged struct {
		ofConn
		number uint32
	}
	// claimAnswer says how far the client's last connection has come.
	claimAnswer struct {
		ofConn
		text []byte
		lost bool // that is not known, or not all
	}
	// claimFailed says that the State has not given the connection its token, which old has.
	claimFailed struct {
		ofConn
		old   holder
		known bool // there is one here
	}
	// surrender has the connection give up its token.
	surrender struct {
		ofConn
		answer func(text []byte)
	}
	// replayed are the events that a client has missed.
	replayed struct {
		ofConn
		sub    *subscription
		events []PastEvent
		err    error
	}
	// replayOn goes on with giving a client what it has missed.
	replayOn struct {
		ofConn
		sub *subscription
	}
	// signIn says who the client is.
	signIn struct {
		ofConn
		id        string
		watchlist []string
		success   []byte // frame that confirms it
	}
)

func (c *attach) do(w *worker)      { w.attach(c.conn) }
func (c *depart) do(w *worker)      { w.depart(c.conn, c.end) }
func (c *closing) do(w *worker)     { w.close(c.conn, c.fault, c.reason) }
func (c *reply) do(w *worker)       { w.reply(c.conn, c.frame) }
func (c *refusal) do(w *worker)     { w.refuseSubscribe(c.conn, c.name, c.fault) }
func (c *subscribe) do(w *worker)   { w.subscribe(c) }
func (c *unsubscribe) do(w *worker) { w.unsubscribe(c) }
func (c *clientEvent) do(w *worker) { w.clientEvent(c) }
func (c *signIn) do(w *worker)      { w.signIn(c) }
func (c *confirmed) do(w *worker)   { w.confirmed(c.conn) }
func (c *ponged) do(w *worker)      { w.ponged(c.conn, c.number) }
func (c *claimAnswer) do(w *worker) { w.claimAnswered(c.conn, c.text, c.lost) }
func (c *claimFailed) do(w *worker) { w.claimFailed(c.conn, c.old, c.known) }
func (c *surrender) do(w *worker)   { w.surrendered(c.conn, c.answer) }
func (c *replayed) do(w *worker)    { w.replayRead(c.sub, c.events, c.err) }
func (c *replayOn) do(w *worker)    { w.replayOn(c.sub) }

func sizeOf[T any](*T) int { return int(unsafe.Sizeof(*new(T))) }

func (c *attach) cost() int      { return sizeOf(c) }
func (c *depart) cost() int      { return sizeOf(c) }
func (c *closing) cost() int     { return sizeOf(c) + len(c.fault.Message) }
func (c *reply) cost() int       { return sizeOf(c) + len(c.frame) }
func (c *refusal) cost() int     { return sizeOf(c) + len(c.name) + len(c.fault.Message) }
func (c *unsubscribe) cost() int { return sizeOf(c) + len(c.name) }

func (c *confirmed) cost() int   { return sizeOf(c) }
func (c *ponged) cost() int      { return sizeOf(c) }
func (c *claimAnswer) cost() int { return sizeOf(c) + len(c.text) }
func (c *claimFailed) cost() int { return sizeOf(c) + len(c.old.text) }
func (c *surrender) cost() int   { return sizeOf(c) }
func (c *replayed) cost() int    { return sizeOf(c) }
func (c *replayOn) cost() int    { return sizeOf(c) }

func (c *subscribe) cost() int {
	n := sizeOf(c) + len(c.name)
	if c.member != nil {
		n += memberBytes(c.member)
	}
	return n
}

func (c *clientEvent) cost() int {
	return sizeOf(c) + len(c.name) + len(c.event) + len(c.data)
}

func (c *signIn) cost() int {
	n := sizeOf(c) + len(c.id) + len(c.success)
	for _, id := range c.watchlist {
		n += len(id) + int(unsafe.Sizeof(id))
	}
	return n
}

func memberBytes(m *protocol.Member) int { return sizeOf(m) + len(m.ID) + len(m.Info) }

// ofChannel is the part that commands about a channel's subscribers share.
type ofChannel struct{ channel *channel }

func (o ofChannel) account() *usage { return o.channel.usage }

// Commands about the worker's subscribers of a channel.
type (
	// joined is the State's answer to a subscription.
	joined struct {
		ofChannel
		sub    *subscription
		answer Joined
		err    error
	}
	// lost says that messages may have been missed.
	lost struct{ ofChannel }
	// unfollowed says that the bus does not bring the channel's messages.
	unfollowed struct {
		ofChannel
		err error
	}
	// userSignal says what has happened to a user.
	userSignal struct {
		ofChannel
		signal Signal
		seq    uint64
	}
)

func (c *joined) do(w *worker)     { w.joined(c.sub, c.answer, c.err) }
func (c *lost) do(w *worker)       { w.lost(c.channel) }
func (c *unfollowed) do(w *worker) { w.unfollowed(c.channel, c.err) }
func (c *userSignal) do(w *worker) { w.userSignal(c) }

func (c *joined) cost() int {
	n := sizeOf(c) + len(c.answer.Cached)
	for i := range c.answer.Members {
		n += memberBytes(&c.answer.Members[i])
	}
	return n
}

func (c *lost) cost() int       { return sizeOf(c) }
func (c *unfollowed) cost() int { return sizeOf(c) }
func (c *userSignal) cost() int { return sizeOf(c) }

// ofHub is the part that commands of the hub itself share.
type ofHub struct{ hub *Hub }

func (o ofHub) account() *usage { return &o.hub.own }

// Commands about all of a worker's connections.
type (
	// shed closes connections until so many are left.
	shed struct {
		ofHub
		fault protocol.Fault
		keep  int
	}
	// turnAway closes the connections of an app that is disabled or removed.
	turnAway struct {
		ofHub
		usage *usage
	}
	// spreadNews tells clients of their watched users.
	spreadNews struct{ ofHub }
	// noted is the State's answer about marks.
	noted struct {
		ofHub
		conns []*Conn
		err   error
	}
)

func (c *noted) do(w *worker) { w.noted(c.conns, c.err) }
func (c *noted) cost() int    { return sizeOf(c) }

func (c *shed) do(w *worker)       { w.shed(c.fault, c.keep) }
func (c *turnAway) do(w *worker)   { w.turnAway(c.usage) }
func (c *spreadNews) do(w *worker) { w.spreadNews() }
func (c *shed) cost() int          { return sizeOf(c) }
func (c *turnAway) cost() int      { return sizeOf(c) }
func (c *spreadNews) cost() int    { return sizeOf(c) }
