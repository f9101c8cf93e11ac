package redisbus_test

import (
	"testing"
	"time"

	"channels/hub"
)

// TestDeploymentsApart: deployments that share a Redis, but not its database or
// the prefix, know nothing of each other.
func TestDeploymentsApart(t *testing.T) {
	s := newServer(t)
	to := hub.Topic{App: "1", Channel: "private-orders"}
	urls := []string{s.url() + "/0", s.url() + "/1", s.url() + "?prefix=other", s.url() + "/1?prefix=other"}
	var all []chan string
	for _, url := range urls {
		all = append(all, listen(t, open(t, url), to))
	}
	for _, url := range urls {
		b := open(t, url)
		if err := publish(nodeOf(b), to, url); err != nil {
			t.Fatal(err)
		}
		if infos, err := b.ChannelInfos(t.Context(), "1", []string{to.Channel}); err != nil || infos[0].Subscribers != 1 {
			t.Errorf("%s: %v, %v; want one subscriber", url, infos, err)
		}
	}
	for i, heard := range all {
		if got := heardWithin(heard, 300*time.Millisecond); len(got) != 1 || got[0] != urls[i] {
			t.Errorf("%s heard %v", urls[i], got)
		}
	}
}
