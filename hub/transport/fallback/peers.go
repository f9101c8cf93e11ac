package fallback

import (
	"context"
	"errors"
	"time"

	"channels/hub"
	"channels/protocol"
)

// Peers are the nodes of a cluster, each of which owns some of the sessions. A
// request that reaches another node is forwarded to the owner. Methods may be
// called from any goroutine. An address is the URL of a node's public listener.
type Peers interface {
	// Owner returns the address of another node that owns a session, "" when there
	// is none.
	Owner(ctx context.Context, session string) (string, error)
	// Claim makes this node the owner of a session, unless another one is, whose
	// address it then returns. A node that dies owns nothing after a while.
	Claim(ctx context.Context, session string) (owner string, err error)
	// Release gives up a session that this node owns. It does not wait.
	Release(session string)
	// Keys are those of all nodes, which nobody else knows. A node signs with the
	// first what it forwards, and believes what is signed with any of them.
	Keys() [][]byte
}

// peersTimeout is how long Peers may take for an answer.
const peersTimeout = 5 * time.Second

// owner returns the address of the node that has a session, "" when there is none.
func (t *Transport) owner(ctx context.Context, route Route) string {
	if !t.isShared(route) {
		return ""
	}
	return t.ask(ctx, route, t.peers.Owner)
}

// claim makes this node the owner of a session, or returns who is.
func (t *Transport) claim(ctx context.Context, route Route) (owner string) {
	if t.peers == nil {
		return ""
	}
	return t.ask(ctx, route, t.peers.Claim)
}

// isShared says whether another node may have a session. All nodes have the same
// apps, so nobody has sessions of others.
func (t *Transport) isShared(route Route) bool {
	return t.peers != nil && (route.Key == "" || t.appOf(route) != nil)
}

// appOf returns the app of a session whose URL names one; nil = there is none.
func (t *Transport) appOf(route Route) *hub.App {
	key, _, _ := protocol.SplitKey(route.Key)
	return t.hub.AppByKey(key)
}

// ask asks Peers about a session. Without an answer the session is served here: a
// client whose requests reach one node only notices nothing, and others connect
// again.
func (t *Transport) ask(ctx context.Context, route Route, question func(context.Context, string) (string, error)) string {
	ctx, cancel := context.WithTimeout(ctx, peersTimeout)
	defer cancel()
	owner, err := question(ctx, route.id())
	if err != nil && !errors.Is(err, context.Canceled) {
		t.log.Warn("the owner of an HTTP session is not known", "error", err)
	}
	return owner
}

// release gives up a session that has ended.
func (t *Transport) release(route Route) {
	if t.peers != nil {
		t.peers.Release(route.id())
	}
}
