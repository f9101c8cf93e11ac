package redisbus

import "time"

// The times that depend on each other stand here, and times_test.go holds what
// must be true of them together.
const (
	// beatInterval is how often a node renews its leases and sends its canaries,
	// give or take beatJitter.
	beatInterval = time.Second
	beatJitter   = beatInterval / 10
	// lease is how long a node that does not renew it is thought to be alive.
	lease = 5 * time.Second
	// lateAfter is the age of a lease's last renewal from which on its node may be
	// dead, so that counts which hold it are doubtful.
	lateAfter = 1800 * time.Millisecond
	// fullAfter is for how long a quota must be full, without doubt, before a client
	// is told so for good. The node has heard of every late lease by then, by a beat
	// of its own.
	fullAfter = 3 * time.Second
	// settling is for how long departures are held back at least after Redis has
	// lost something: every node that lives has come back to it by then, or is dead
	// by its lease. They are held back for longer while a node is still saying what
	// it has.
	settling = lease + time.Second

	// lossHeard is for how long after a break a node may not have heard yet that Redis
	// has lost something in it.
	lossHeard = 2 * lease

	// toldTwice is for how long what tells of a loss may tell of the same one again:
	// the server's id and the lease are looked at each second.
	toldTwice = 2*beatInterval + beatInterval/2

	// A command takes at most these together.
	poolTimeout    = 500 * time.Millisecond
	dialTimeout    = time.Second
	writeTimeout   = time.Second
	commandTimeout = 2 * time.Second // for the answer
	// doneBy is how late a script may start. What has not been answered in
	// commandTimeout is therefore not going to happen any more.
	doneBy = 1500 * time.Millisecond

	// openPatience is how long Open tries to reach Redis, with openPause between two
	// attempts.
	openPatience = 10 * time.Second
	openPause    = 200 * time.Millisecond
	// patience is how long a subscribe waits for Redis.
	patience = 10 * time.Second
	// publishPatience is how long a publish does.
	publishPatience = 2 * time.Second
	// lateTopic is how long Redis may be told more of events than of a topic that
	// waits.
	lateTopic = time.Second
	// rosterPatience is how long a subscriber's answer waits for announcements that are
	// under way, and ownPatience how much longer for the subscriber's own.
	rosterPatience = 500 * time.Millisecond
	ownPatience    = patience / 2
	// comparePause is between two comparisons of a roster's sum, of which there are
	// compareRounds before the roster is read.
	comparePause = 400 * time.Millisecond

	// canaryPatience is for how long nothing may come by a connection before the
	// node is not ready, and the connection is replaced.
	canaryPatience = 4 * time.Second
	// roomPatience is for how long nothing may come because the node does not read the
	// connection, which has more than it has room for, before that is replaced.
	roomPatience = 30 * time.Second
	// feedPause is between two connections by which messages come, and grows to
	// mostFeedPause while none works.
	feedPause     = 20 * time.Millisecond
	mostFeedPause = time.Second
	// linger is how long a topic is listened to after its receiver has gone, since
	// many come back.
	linger = 5 * time.Second

	// clockMargin is by how much the clock of a server may be behind that of the
	// server which it replaces.
	clockMargin = 2 * time.Second
	// sameTime is by how much two nodes' notions of a server's time may differ.
	sameTime = 100 * time.Millisecond
	// fastTrip is how fast an answer must be to tell what time it is at Redis.
	fastTrip = 200 * time.Millisecond

	// roundPause is the least time between two looks at a server, and failingPause that
	// after one that has failed, which grows to beatInterval.
	roundPause   = 20 * time.Millisecond
	failingPause = 50 * time.Millisecond
	// routePause is the least time between two looks at who has which slot of a
	// cluster, and clusterReload how old what the library knows of that may be.
	routePause    = 100 * time.Millisecond
	clusterReload = 5 * time.Second

	// housekeepingInterval is how often what waits too long is looked for.
	housekeepingInterval = 250 * time.Millisecond
	// policyInterval is how often Redis is asked what it does when it is full.
	policyInterval = time.Minute

	// The scripts know these by the same names.

	// logAge is for how long what was published can be read again.
	logAge = time.Minute
	// sweepPause is the least time between two sweeps, and settleStep how much of
	// the time since the last one counts as settling.
	sweepPause = 900 * time.Millisecond
	settleStep = 1500 * time.Millisecond
	// auditInterval is between two looks for names that hang on no lease, and
	// lossAudited for how long after a loss they follow each other.
	auditInterval = 30 * time.Second
	lossAudited   = settling + 3*lease
	// buryAgain is when another node takes on to bury whom nobody has buried yet.
	buryAgain = 3 * time.Second
	// wakePause is the least time between two wake-ups of the node that delivers webhooks,
	// of an app and a partition: it looks twice.
	wakePause = 100 * time.Millisecond
	// deadKept is for how long a name or a lease is known to be dead.
	deadKept = time.Hour
)
