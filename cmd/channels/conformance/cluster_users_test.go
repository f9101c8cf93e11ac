//go:build conformance && !goroutinereaders

package conformance

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

const countsTold = "CHANNELS_APP_SUBSCRIPTION_COUNT_EVENTS=true"

func TestAcrossNodes(t *testing.T) {
	nodes := startCluster(t, startRedis(t), 2, countsTold)
	acrossNodes(t, nodes[0], nodes[1])
}

// acrossNodes goes through what a client or a publisher on one node does to clients
// on another.
func acrossNodes(t *testing.T, a, b *server) {
	t.Helper()
	t.Run("client events, without the sender", func(t *testing.T) {
		sender, other := connect(t, a), connect(t, b)
		sender.subscribePresence("presence-talk", memberData("s"))
		other.subscribePresence("presence-talk", memberData("o"))
		sender.expect("pusher_internal:member_added", "presence-talk")
		sender.send(`{"event":"client-hi","channel":"presence-talk","data":"{}"}`)
		if f := other.expect("client-hi", "presence-talk"); string(f.UserID) != `"s"` {
			t.Errorf("user_id: got %s", f.UserID)
		}
		sender.answers()
	})
	t.Run("socket_id is left out wherever it is", func(t *testing.T) {
		left, other := connect(t, a), connect(t, b)
		left.subscribePrivate("private-x")
		left.expect("pusher_internal:subscription_count", "private-x")
		other.subscribePrivate("private-x")
		other.expect("pusher_internal:subscription_count", "private-x")
		left.expectData("pusher_internal:subscription_count", "private-x", `{"subscription_count":2}`)
		status, body := post(t, b, eventsPath, event{Name: "e", Channels: []string{"private-x"}, Data: "{}", SocketID: left.SocketID})
		if status != http.StatusOK {
			t.Fatal(status, body)
		}
		other.expect("e", "private-x")
		left.answers()
	})
	t.Run("users are reached and terminated", func(t *testing.T) {
		one, two := connect(t, a), connect(t, b)
		one.signInAs(t, a, "ann")
		two.signInAs(t, b, "ann")
		two.subscribe("#server-to-user-ann")
		two.expect("pusher_internal:subscription_count", "#server-to-user-ann")
		ok(t, "SendToUser", sdk(a).SendToUser("ann", "e", "hello"))
		two.expectData("e", "#server-to-user-ann", "hello")
		if status, body := post(t, a, "/apps/1/users/ann/terminate_connections", "{}"); status != http.StatusOK {
			t.Fatal(status, body)
		}
		one.expectErrorCode(4009, "You got disconnected by the app.")
		one.expectClose(4009, "")
		two.expectErrorCode(4009, "You got disconnected by the app.")
		two.expectClose(4009, "")
	})
	t.Run("the last event is cached for everybody", func(t *testing.T) {
		publish(t, a, "cache-c", "e", "kept")
		c := connect(t, b)
		c.send(subscribeFrame("cache-c", "", ""))
		c.expect("pusher_internal:subscription_succeeded", "cache-c")
		c.expectData("e", "cache-c", "kept")
	})
	t.Run("every node answers the same", func(t *testing.T) {
		for i, s := range []*server{a, b, b} {
			c := connect(t, s)
			c.subscribePresence("presence-same", memberData([]string{"x", "y", "x"}[i]))
			connect(t, s).subscribeQuietly("public-same")
		}
		for _, s := range []*server{a, b} {
			_, body := get(t, s, "/apps/1/channels", map[string]string{"filter_by_prefix": "presence-same", "info": "user_count"})
			sameJSON(t, "channels", body, `{"channels":{"presence-same":{"user_count":2}}}`)
			_, body = get(t, s, "/apps/1/channels/public-same", map[string]string{"info": "subscription_count"})
			sameJSON(t, "channel", body, `{"occupied":true,"subscription_count":3}`)
		}
	})
	t.Run("watchlists see users on other nodes", func(t *testing.T) {
		watching := connect(t, a)
		watching.signInWatching(t, "watching", "seen")
		seen := connect(t, b)
		seen.signInAs(t, b, "seen")
		f := watching.expect("pusher_internal:watchlist_events", "")
		if !strings.Contains(f.Raw, "online") || !strings.Contains(f.Raw, "seen") {
			t.Errorf("got %s", f.Raw)
		}
		_ = seen.conn.CloseNow()
		f = watching.expect("pusher_internal:watchlist_events", "")
		if !strings.Contains(f.Raw, "offline") {
			t.Errorf("got %s", f.Raw)
		}
	})
}

func (c *client) subscribeQuietly(channel string) {
	c.t.Helper()
	c.send(subscribeFrame(channel, "", ""))
	c.expect("pusher_internal:subscription_succeeded", channel)
}

// signInWatching signs in as a user with a watchlist.
func (c *client) signInWatching(t testing.TB, id, watched string) {
	t.Helper()
	data := `{"id":` + quote(id) + `,"watchlist":[` + quote(watched) + `]}`
	auth := appKey + ":" + sign(appSecret, c.SocketID+"::user::"+data)
	c.send(`{"event":"pusher:signin","data":{"auth":` + quote(auth) + `,"user_data":` + quote(data) + `}}`)
	c.expect("pusher:signin_success", "")
	c.expect("pusher_internal:watchlist_events", "") // who is not there
}

// TestQuotaAcrossNodes: an app's limit holds over all nodes, and a node that dies
// gives back what it had.
func TestQuotaAcrossNodes(t *testing.T) {
	r := startRedis(t)
	const quota = "CHANNELS_APP_MAX_CONNECTIONS=3"
	a, mortal := startNode(t, r, quota), startMortal(t, r, quota)
	one := connect(t, a)
	connect(t, mortal)
	connect(t, mortal)
	refused := dial(t, a, defaultPath)
	refused.expectErrorCode(4004, "Application is over connection quota")
	refused.expectClose(4004, "")
	one.answers()
	mortal.killNow()
	within(t, 10*time.Second, "there is room again", func() bool {
		c := dial(t, a, defaultPath)
		return c.next().Event == "pusher:connection_established"
	})
}
