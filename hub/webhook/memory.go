package webhook

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"channels/hub"
)

// Memory is the Store of a single node. What it has is lost with the process.
type Memory struct {
	mu   sync.Mutex
	apps map[string]*memoryApp
	next uint64 // number of the last occurrence
}

var _ Store = (*Memory)(nil)

// memoryApp is what is kept of an app.
type memoryApp struct {
	wake        func()
	occurrences map[string]hub.Occurrence
	order       []string // of the occurrences, and of some that were removed
	unread      int      // where in order the next reading begins
	bytes       int
	dropped     uint64
	told        map[string][]string
	parcels     map[string]hub.Parcel
	failed      []hub.Parcel
	recent      [][]byte
	retried     []hub.Parcel
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{apps: make(map[string]*memoryApp)} }

func (m *Memory) app(id string) *memoryApp {
	a := m.apps[id]
	if a == nil {
		a = &memoryApp{
			occurrences: make(map[string]hub.Occurrence), told: make(map[string][]string), parcels: make(map[string]hub.Parcel),
		}
		m.apps[id] = a
	}
	return a
}

// Note takes an occurrence. It does not block; hub.Memory calls it.
func (m *Memory) Note(o hub.Occurrence) { m.note(o) }

// note returns the id that it gives the occurrence; false: too much waits.
func (m *Memory) note(o hub.Occurrence) (id string, ok bool) {
	m.mu.Lock()
	a := m.app(o.Topic.App)
	if a.bytes+bytesOf(o) > MaxBytes {
		a.dropped++
		m.mu.Unlock()
		return "", false
	}
	m.next++
	o.ID = strconv.FormatUint(m.next, 10)
	a.occurrences[o.ID] = o
	a.order = append(a.order, o.ID)
	a.bytes += bytesOf(o)
	wake := a.wake
	m.mu.Unlock()
	if wake != nil {
		wake()
	}
	return o.ID, true
}

// Own implements Store: there is no other node.
func (m *Memory) Own(context.Context, string) (bool, error) { return true, nil }

// Watch implements Store.
func (m *Memory) Watch(app string, wake func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.app(app).wake = wake
}

// maxRead is how many occurrences are returned at a time.
const maxRead = 5000

// Occurrences implements Store.
func (m *Memory) Occurrences(_ context.Context, app string, fromStart bool) ([]hub.Occurrence, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.app(app)
	if fromStart {
		a.unread = 0
	}
	var found []hub.Occurrence
	for a.unread < len(a.order) && len(found) < maxRead {
		if o, kept := a.occurrences[a.order[a.unread]]; kept {
			found = append(found, o)
		}
		a.unread++
	}
	a.tidy()
	return found, nil
}

// tidy forgets the order of what was removed, once that is most of it.
func (a *memoryApp) tidy() {
	if len(a.order) < 1000 || len(a.order) < 2*len(a.occurrences) {
		return
	}
	kept, unread := a.order[:0], 0
	for i, id := range a.order {
		if _, is := a.occurrences[id]; is {
			kept = append(kept, id)
			if i < a.unread {
				unread++
			}
		}
	}
	a.order, a.unread = kept, unread
}

// Commit implements Store.
func (m *Memory) Commit(_ context.Context, app string, c Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.app(app)
	for _, p := range c.Take {
		a.parcels[p.ID] = p
	}
	for id, endpoints := range c.Told {
		a.told[id] = endpoints
	}
	for _, o := range c.Remove {
		if kept, is := a.occurrences[o.ID]; is {
			a.bytes -= bytesOf(kept)
			delete(a.occurrences, o.ID)
		}
	}
	for _, id := range c.Untell {
		delete(a.told, id)
	}
	for _, id := range c.Settle {
		delete(a.parcels, id)
	}
	a.failed = lastOf(append(a.failed, c.GiveUp...), hub.KeptFailed)
	a.recent = lastOf(append(a.recent, c.Recent...), hub.KeptRecent)
	return nil
}

// lastOf keeps the last ones.
func lastOf[T any](all []T, most int) []T {
	if len(all) > most {
		return slices.Clone(all[len(all)-most:])
	}
	return all
}

// Parcels implements Store.
func (m *Memory) Parcels(_ context.Context, app string) ([]hub.Parcel, map[string][]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.app(app)
	told := make(map[string][]string, len(a.told))
	for id, endpoints := range a.told {
		told[id] = slices.Clone(endpoints)
	}
	var all []hub.Parcel
	for _, p := range a.parcels {
		all = append(all, p)
	}
	return all, told, nil
}

// Dropped implements Store.
func (m *Memory) Dropped(_ context.Context, app string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.app(app).dropped, nil
}

// Failed implements Store.
func (m *Memory) Failed(_ context.Context, app string) ([]hub.Parcel, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.app(app).failed), nil
}

// Recent implements Store.
func (m *Memory) Recent(_ context.Context, app string) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.app(app).recent), nil
}

// Retry implements Store.
func (m *Memory) Retry(_ context.Context, app string, again hub.Parcel) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.app(app)
	at := slices.IndexFunc(a.failed, func(p hub.Parcel) bool { return p.ID == again.ID })
	if at < 0 {
		return false, nil
	}
	a.failed = slices.Delete(a.failed, at, at+1)
	a.parcels[again.ID] = again
	a.retried = append(a.retried, again)
	if a.wake != nil {
		a.wake()
	}
	return true, nil
}

// Retried implements Store.
func (m *Memory) Retried(_ context.Context, app string) ([]hub.Parcel, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.app(app)
	retried := a.retried
	a.retried = nil
	return retried, nil
}
