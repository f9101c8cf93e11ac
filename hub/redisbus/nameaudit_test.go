package redisbus_test

import (
	"strings"
	"testing"
)

// TestNamesOnNoLease leaves what a node leaves that comes back to an empty Redis and
// dies before its first beat there: names on a lease that nobody has seen. They are
// found without anybody's waiting for minutes, and nobody else is taken for dead.
func TestNamesOnNoLease(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, b := open(t, s.url()), open(t, s.url())
	s.cli("flushall")
	partitions := []int{0, 77, 255}
	for _, p := range partitions {
		s.cli("sadd", a.Tag(p)+":nodes", "nobody-1.77")
	}
	within(t, "the names are buried, and the nodes are back", func() bool {
		for _, p := range partitions {
			names := s.cli("smembers", a.Tag(p)+":nodes")
			if strings.Contains(names, "nobody-1.77") || len(strings.Fields(names)) != 2 {
				return false
			}
		}
		return true
	})
	if fences := a.Stats().Fences + b.Stats().Fences; fences > 0 {
		t.Errorf("nodes that live were declared dead %d times", fences)
	}
}
