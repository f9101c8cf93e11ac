package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"channels/hub"
	"channels/hub/ops"
	"channels/hub/redisbus"
	"channels/hub/webhook"
)

// backend is what carries events and holds the state: this process, or Redis.
type backend struct {
	name  string // for the log
	bus   hub.Bus
	state hub.State
	ready func() error // why the node should be given no clients; nil = as the bus says
	close func()
	peers *peers // nil = this node knows no other one
	alarm error  // what the operator should hear of; nil = nothing

	occurrences webhook.Store // where what webhooks tell of is noted

	engine atomic.Pointer[hub.Hub] // set once there is one; the bus asks it for room
}

// leaveTimeout is how long the node may take to tell the others that it goes.
const leaveTimeout = 5 * time.Second

func openBackend(ctx context.Context, s Settings, metrics *ops.Metrics, log *slog.Logger) (*backend, error) {
	if s.Redis == "" {
		memory, occurrences := hub.NewMemory(), webhook.NewMemory()
		memory.NoteOccurrences(occurrences.Note)
		return &backend{name: "none", bus: memory, state: memory, close: memory.Close, occurrences: occurrences}, nil
	}
	config, err := redisbus.ParseURL(s.Redis)
	if err != nil {
		return nil, err
	}
	b := &backend{name: config.String()}
	bus, err := redisbus.Open(ctx, redisbus.Options{Config: config, Log: log, Room: b.room})
	if err != nil {
		return nil, err
	}
	metrics.Registry().MustRegister(busCollector{bus, busMetrics()})
	if s.Advertise != "off" {
		b.peers = &peers{Owners: bus.Owners(), redis: config, log: log}
	}
	b.bus, b.state, b.ready, b.alarm = bus, bus, bus.Ready, bus.Warning()
	b.close = func() {
		ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
		defer cancel()
		bus.Close(ctx)
	}
	return b, nil
}

func (b *backend) room(ctx context.Context) error {
	if engine := b.engine.Load(); engine != nil {
		return engine.WaitForRoom(ctx)
	}
	return nil
}

// warn tells what there is to be told, once the server is up.
func (b *backend) warn(log *slog.Logger) {
	if b.alarm != nil {
		log.Warn("redis may not be set up as it should", "error", b.alarm)
	}
}
