package fallback_test

import (
	"context"
	"sync"

	"channels/hub/transport/fallback"
)

// exchange has the Peers of nodes in one process.
type exchange struct {
	mu     sync.Mutex
	owners map[string]string // addresses by session
	asked  int               // how often somebody has asked for an owner
}

func newExchange() *exchange { return &exchange{owners: make(map[string]string)} }

// join returns the Peers of a node with an address and keys.
func (e *exchange) join(address string, keys ...string) fallback.Peers {
	m := member{exchange: e, address: address}
	for _, key := range keys {
		m.keys = append(m.keys, []byte(key))
	}
	return m
}

type member struct {
	*exchange
	address string
	keys    [][]byte
}

func (m member) Claim(_ context.Context, session string) (owner string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if owner := m.owners[session]; owner != "" && owner != m.address {
		return owner, nil
	}
	m.owners[session] = m.address
	return "", nil
}

func (m member) Owner(_ context.Context, session string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if owner := m.owners[session]; owner != m.address {
		return owner, nil
	}
	return "", nil
}

func (m member) Release(session string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owners[session] == m.address {
		delete(m.owners, session)
	}
}

func (m member) Keys() [][]byte { return m.keys }
