package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"channels/hub"
	"channels/hub/webhook"
)

// reloader puts the settings of a file in force that has changed, while the server runs:
// its apps and the log level. What else has changed needs a restart, and is named.
// Any goroutine may call its methods.
type reloader struct {
	load  func() (Settings, error)
	log   *slog.Logger
	level *slog.LevelVar

	engine   *hub.Hub
	webhooks *webhook.Engine
	backend  *backend

	agreement *agreement // nil = there are no other nodes

	reloading sync.Mutex // one at a time
	begun     bool       // there is an engine; the lock's
	current   atomic.Pointer[Settings]
	taken     atomic.Uint64 // reloads
	refused   atomic.Uint64
	failing   atomic.Bool // the last one was refused
}

var (
	errStarting = errors.New("the server has not started yet")
	errNoFile   = errors.New("there is no file to read again: the settings come from flags and the environment, which do not change while a program runs")
	errNoApps   = errors.New("config: the file names no apps any more; to refuse all clients of an app, set disabled")
)

// begin tells the reloader whom to give the apps.
func (r *reloader) begin(engine *hub.Hub, webhooks *webhook.Engine, backend *backend) {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	r.engine, r.webhooks, r.backend, r.begun = engine, webhooks, backend, true
}

// reload reads the file again, and logs what has become of it. The answer says what has
// changed. With an error, which joins a Mistake for all that is wrong, everything stays as
// it was.
func (r *reloader) reload(why string) (told string, err error) {
	told, err = r.read()
	switch {
	case errors.Is(err, errNoFile), errors.Is(err, errStarting):
		r.log.Info("nothing is reloaded: "+err.Error(), "why", why)
	case err != nil:
		for line := range strings.SplitSeq(err.Error(), "\n") {
			r.log.Error("the settings were not reloaded, the old ones stay: "+line, "why", why)
		}
	default:
		r.log.Info("settings reloaded: "+told, "why", why)
	}
	return told, err
}

// read is reload without the log.
func (r *reloader) read() (string, error) {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	before := r.current.Load()
	if !r.begun {
		return "", errStarting
	}
	if before.Config == "" {
		return "", errNoFile
	}
	next, err := r.load()
	if err == nil && before.FileApps && !next.FileApps {
		err = errNoApps
	}
	if err != nil {
		r.refused.Add(1)
		r.failing.Store(true)
		return "", err
	}
	r.taken.Add(1)
	r.failing.Store(false)
	return r.apply(before, &next), nil
}

// apply puts settings in force.
func (r *reloader) apply(before, next *Settings) string {
	changes := r.engine.SetApps(next.Apps)
	r.webhooks.SetApps(next.Apps)
	if r.backend.setGraces != nil {
		r.backend.setGraces(graces(next.Apps))
	}
	r.level.Set(next.LogLevel)
	r.current.Store(next)
	r.agreement.changed()
	var told []string
	tell := func(what string, names []string) {
		if len(names) > 0 {
			told = append(told, what+" "+strings.Join(names, ", "))
		}
	}
	tell("apps added:", changes.Added)
	tell("apps changed:", changes.Changed)
	tell("apps removed:", changes.Removed)
	if before.LogLevel != next.LogLevel {
		told = append(told, "log_level: "+strings.ToLower(next.LogLevel.String()))
	}
	tell("these need a restart:", needRestart(before, next))
	if len(told) == 0 {
		return "nothing has changed"
	}
	return strings.Join(told, "; ")
}

// needRestart names the settings that differ and cannot be put in force while the server
// runs.
func needRestart(before, next *Settings) (names []string) {
	for _, s := range serverSettings() {
		if s.name != "log_level" && s.field(before).String() != s.field(next).String() {
			names = append(names, s.name)
		}
	}
	return names
}

// lookEvery is how often it is looked whether the file has changed. A file that has is read
// when it was found the same twice, so that none is read that is half written.
const lookEvery = time.Second

// start begins to watch the file; stop ends that.
func (r *reloader) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { r.watch(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// watch reloads when the file has changed, until ctx ends.
func (r *reloader) watch(ctx context.Context) {
	name := r.current.Load().Config
	if name == "" {
		return
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	read, _ := os.Stat(name)
	last := read
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		found, err := os.Stat(name)
		if err != nil {
			continue // it is being replaced; if not, the old settings stay
		}
		if !sameVersion(found, read) && sameVersion(found, last) {
			read = found
			_, _ = r.reload("the file has changed") // it is logged
		}
		last = found
	}
}

// sameVersion says whether a file was not written or replaced between two looks.
func sameVersion(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// askReload is `channels reload`: it has the server with these settings, on this machine,
// read its file again.
func askReload(ctx context.Context, s Settings) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	told, err := operate(ctx, s, http.MethodPost, "/reload")
	return strings.TrimSpace(string(told)), err
}

// reloadTimeout is how long a reload may take: webhooks that are under way may end.
const reloadTimeout = 30 * time.Second
