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

	setGraces func(map[string]time.Duration) // for members whose node has died; nil = there are no other nodes

	occurrences webhook.Store // where what webhooks tell of is noted

	engine atomic.Pointer[hub.Hub] // set once there is one; the bus asks it for room
}

// leaveTimeout is how long the node may take to tell the others that it goes.
const leaveTimeout = 5 * time.Second

func openBackend(ctx context.Context, s Settings, metrics *ops.Metrics, log *slog.Logger) (*backend, error) {
	if s.Redis == "" {
		return openMemory(s, log)
	}
	config, err := redisbus.ParseURL(s.Redis)
	if err != nil {
		return nil, err
	}
	b := &backend{name: config.String()}
	bus, err := redisbus.Open(ctx, redisbus.Options{Config: config, Log: log, Room: b.room, Graces: graces(s.Apps)})
	if err != nil {
		return nil, err
	}
	metrics.Registry().MustRegister(busCollector{bus, busMetrics()})
	if s.Advertise != "off" {
		b.peers = &peers{Owners: bus.Owners(), redis: config, log: log}
	}
	b.bus, b.state, b.ready, b.alarm = bus, bus, bus.Ready, bus.Warning()
	b.occurrences, b.setGraces = bus.Webhooks(), bus.SetGraces
	b.close = func() {
		ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
		defer cancel()
		bus.Close(ctx)
	}
	return b, nil
}

// openMemory returns the backend of a single node, which keeps webhooks on disk if it is
// given a directory.
func openMemory(s Settings, log *slog.Logger) (*backend, error) {
	memory := hub.NewMemory()
	b := &backend{name: "none", bus: memory, state: memory, close: memory.Close}
	if s.Data == "" {
		kept := webhook.NewMemory()
		memory.NoteOccurrences(kept.Note, nil)
		b.occurrences = kept
		return b, nil
	}
	kept, err := webhook.OpenDisk(s.Data, log)
	if err != nil {
		return nil, err
	}
	memory.NoteOccurrences(kept.Note, kept.Written)
	b.occurrences = kept
	b.close = func() {
		memory.Close()
		if err := kept.Close(); err != nil {
			log.Error("webhooks cannot be written to disk", "error", err)
		}
	}
	return b, nil
}

// graces are the apps' presence graces, by id.
func graces(apps []hub.App) map[string]time.Duration {
	all := make(map[string]time.Duration)
	for i := range apps {
		if grace := apps[i].PresenceGrace; grace > 0 {
			all[apps[i].ID] = grace
		}
	}
	return all
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
