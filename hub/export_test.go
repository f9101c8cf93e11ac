package hub

import "testing/synctest"

// VisitedWatchers is how many entries of watchlists news has been compared with.
// The workers are at rest when it is called.
func VisitedWatchers(h *Hub) (n int) {
	synctest.Wait()
	for _, w := range h.workers {
		n += w.watched.visited
	}
	return n
}
