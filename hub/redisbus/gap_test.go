package redisbus

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestGap: what was published before a gap that is made up for is not missing when
// Redis loses something later; a gap in which it may have lost something goes on.
func TestGap(t *testing.T) {
	const data, other = 50, 150
	for name, c := range map[string]struct {
		then   func(g *gap) // after a break at 100
		recent bool
		from   uint64 // of the next break, at 200
	}{
		"not read yet":      {func(*gap) {}, true, 100},
		"made up for":       {func(g *gap) { g.end(data, true) }, true, 200},
		"long ago":          {func(g *gap) { g.end(data, true); time.Sleep(lease) }, false, 200},
		"not whole":         {func(g *gap) { g.end(data, false) }, true, 100},
		"other data":        {func(g *gap) { g.end(other, true) }, true, 100},
		"no loss was heard": {func(g *gap) { g.end(other, true); time.Sleep(lossHeard) }, false, 200},
		"nobody has come":   {func(g *gap) { g.end(0, true) }, true, 100},
		"a loss was judged": {func(g *gap) { g.end(other, true); g.settle() }, false, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g gap
				if g.recent() {
					t.Fatal("there was no gap")
				}
				g.begin(100, logged{}, false)
				c.then(&g)
				if got := g.recent(); got != c.recent {
					t.Errorf("recent: %v", got)
				}
				if g.begin(200, logged{}, false); g.from != c.from || !g.recent() {
					t.Errorf("the next one is from %d", g.from)
				}
			})
		})
	}
}
