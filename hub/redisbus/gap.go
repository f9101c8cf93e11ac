package redisbus

import "time"

// gap is the last time without a connection, in which Redis may have lost something.
// The node may hear of the loss only when it has a connection again. The partition's
// lock guards it.
type gap struct {
	from   uint64 // until then what was published came
	events logged // the last event of that
	stage  stage
	read   time.Time // when the log was read
}

// logged is an event that stands in the log of its app.
type logged struct {
	seq uint64 // 0 = none
	app string // as it stands in keys
}

// later returns that of two events that came later.
func (l logged) later(other logged) logged {
	if other.seq > l.seq {
		return other
	}
	return l
}

// stage is how far a gap has been made up for.
type stage uint8

const (
	closed   stage = iota // what came later was read from the same data
	open                  // the log was not read yet
	doubtful              // it was read, but perhaps from other data
)

// begin notes that there is no connection, after one that had worked until then. What
// came since a gap that is still in doubt may belong to other data, so that gap goes on.
func (g *gap) begin(from uint64, events logged, judging bool) {
	if g.stage == closed || g.stage == doubtful && !judging && time.Since(g.read) >= lossHeard {
		*g = gap{from: from, events: events}
	}
	g.stage = open
}

// end notes that the log was read, and whether it holds all that came before. An epoch
// is when it began, and so data whose epoch began before the gap are the same.
func (g *gap) end(epoch uint64, whole bool) {
	g.stage, g.read = doubtful, time.Now()
	if epoch > 0 && epoch <= g.from && whole {
		g.stage = closed
	}
}

// settle notes, while there is a connection, that it is known what Redis has lost.
func (g *gap) settle() { g.stage, g.read = closed, time.Time{} }

// recent says whether the gap may have begun when Redis lost something of which the
// node hears only now.
func (g *gap) recent() bool {
	switch g.stage {
	case open:
		return true
	case doubtful:
		return time.Since(g.read) < lossHeard
	case closed:
	}
	return time.Since(g.read) < lease
}
