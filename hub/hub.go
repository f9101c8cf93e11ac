package hub

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"channels/protocol"
)

// maxWorkers is the width of a channel's set of workers.
const maxWorkers = 64

// Options configure a Hub. Zero values take the defaults named.
type Options struct {
	Apps  []App
	Bus   Bus
	State State

	Workers        int // goroutines that deliver; 0 = one per processor
	MailboxBytes   int // bound of what waits to be delivered; 0 = 64 MiB
	MaxHeldBytes   int // bound of the messages that wait for one pending subscription, and of the commands of one connection that do; 0 = 1 MiB
	MaxConnections int // sockets of the node at once; 0 = no limit

	// Delivered is told how long a message took on this node, from its arrival
	// to its having been given to every socket. Workers call it; nil = nobody.
	Delivered func(time.Duration)

	// Refused is told what clients ask for and do not get. It is called on any
	// goroutine and must not block; nil = nobody.
	Refused func(RefusedAsk)
}

// Hub is the engine. Its methods may be called from any goroutine.
type Hub struct {
	bus      Bus
	state    State
	setting  sync.Mutex        // one SetApps at a time
	removed  map[string]*usage // by id, of apps that SetApps has removed; SetApps's
	apps     atomic.Pointer[apps]
	own      usage // what the hub itself holds
	ledger   *ledger
	busWaits atomic.Int32 // callers of WaitForRoom that wait
	registry *registry
	resumes  *resumes
	workers  []*worker
	maxHeld  int
	capacity int

	delivered func(time.Duration)
	refused   func(RefusedAsk)

	began      time.Time    // see now
	sweepEvery atomic.Int64 // see sweepInterval; in ns

	next    atomic.Uint32 // spreads connections over workers
	open    atomic.Int64  // connections
	closes  closes
	running context.Context
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// New returns a running hub; Close ends it.
func New(o Options) *Hub {
	running, stop := context.WithCancel(context.Background())
	h := &Hub{
		bus:      o.Bus,
		removed:  make(map[string]*usage),
		state:    o.State,
		maxHeld:  orDefault(o.MaxHeldBytes, 1<<20),
		capacity: o.MaxConnections,
		running:  running,
		stop:     stop,
		began:    time.Now(),
	}
	h.registry, h.resumes = newRegistry(h), newResumes()
	h.delivered, h.refused = o.Delivered, o.Refused
	count := min(orDefault(o.Workers, runtime.GOMAXPROCS(0)), maxWorkers)
	h.ledger = newLedger(orDefault(o.MailboxBytes, 64<<20), count, h.now)
	for i := range count {
		h.workers = append(h.workers, &worker{
			index: i, hub: h, registry: h.registry, mailbox: newMailbox(),
		})
	}
	h.apps.Store(new(apps))
	h.SetApps(o.Apps)
	for _, w := range h.workers {
		h.done.Go(func() { w.loop(running.Done()) })
	}
	return h
}

func orDefault(value, otherwise int) int {
	if value > 0 {
		return value
	}
	return otherwise
}

// Close stops the workers and returns when they have ended. Open sockets are
// not touched; see Drain.
func (h *Hub) Close() {
	h.unfollowNodes()
	h.registry.stopGhosts()
	h.stop()
	h.done.Wait()
	for _, w := range h.workers {
		w.easing.wake()
		w.mailbox.room.wake()
	}
}

// Connect is ConnectAs for a client of which nothing is known.
func (h *Hub) Connect(app *App, socket Socket) (*Conn, error) {
	return h.ConnectAs(app, socket, Visitor{})
}

// ConnectAs takes a new client in, and greets it. It waits for the State where the
// app has a quota. An error is a Refusal.
func (h *Hub) ConnectAs(app *App, socket Socket, v Visitor) (*Conn, error) {
	u := h.usageOf(app)
	err := error(Refusal{protocol.UnknownAppKey(app.Key), AppRemoved})
	if u != nil {
		app = u.app()
		err = h.reserve(u, app.AuthorizedConnections)
	}
	if err != nil {
		h.tellRefused(AskedConnect, app, "", socket, asFault(err))
		return nil, err
	}
	c := &Conn{
		id:     newSocketID(),
		hub:    h,
		worker: h.workers[int(h.next.Add(1))%len(h.workers)],
		socket: socket,
		usage:  u,
		awaits: app.AuthorizedConnections,

		since:    h.now(),
		deflates: socket.Deflates(),
		resume:   h.newResumption(app, v),
	}
	c.usage.opened.Add(1)
	c.Touch()
	c.worker.post(&attach{ofConn{c}})
	return c, nil
}

// reserve counts a connection in, unless that is one too many. later: the app counts it when
// it is authorized.
func (h *Hub) reserve(u *usage, later bool) error {
	if n := h.open.Add(1); h.capacity > 0 && n > int64(h.capacity) {
		h.open.Add(-1)
		return Refusal{protocol.OverCapacity(), Capacity}
	}
	if later {
		return nil
	}
	answer := make(chan error, 1)
	u.quota.take(func(err error) { answer <- err })
	if err := <-answer; err != nil {
		u.quota.put()
		h.open.Add(-1)
		return err
	}
	return nil
}

func (h *Hub) released(c *Conn) {
	h.open.Add(-1)
	c.usage.closed.Add(1)
	if c.authorized || !c.awaits {
		c.usage.quota.put()
	}
}

// Connections returns how many sockets are open on this node.
func (h *Hub) Connections() int { return int(h.open.Load()) }

// WaitForRoom returns once the workers can take more messages, or with ctx's
// error. A bus that has messages to hand over calls it first.
func (h *Hub) WaitForRoom(ctx context.Context) error {
	if h.ledger.hasRoom() {
		return nil
	}
	h.busWaits.Add(1)
	defer h.busWaits.Add(-1)
	return h.ledger.await(ctx, h.ledger.hasRoom)
}

// Err is nil while events can be carried, as far as is known.
func (h *Hub) Err() error { return h.bus.Err() }

// drainStep is how often Drain closes a few sockets.
const drainStep = 50 * time.Millisecond

// Drain closes every socket with the fault, evenly over the given time, and
// returns when none is open or ctx ends.
func (h *Hub) Drain(ctx context.Context, f protocol.Fault, spread time.Duration) error {
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	at := make([]int, len(h.workers)) // connections of each at the start
	for i, w := range h.workers {
		at[i] = int(w.open.Load())
	}
	steps := max(int(spread/drainStep), 1)
	for step := 1; h.Connections() > 0; step++ {
		for i, w := range h.workers {
			keep := at[i] * max(steps-step, 0) / steps
			w.post(&shed{ofHub{h}, f, keep})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d sockets still open: %w", h.Connections(), ctx.Err())
		}
	}
	return nil
}
