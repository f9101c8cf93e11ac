package redisbus

import (
	"testing"
	"time"
)

func TestTimes(t *testing.T) {
	for what, holds := range map[string]bool{
		"a script that is not answered does not run any more":      doneBy < commandTimeout,
		"a beat that hangs ends before the lease does":             poolTimeout+dialTimeout+writeTimeout+commandTimeout < lease,
		"a lease stands a beat that is lost":                       3*(beatInterval+beatJitter) < lease,
		"a lease that is renewed in time is not late":              beatInterval+beatJitter < lateAfter,
		"who died before a quota was full is late when it is full": lateAfter+beatInterval+beatJitter < fullAfter,
		"everybody comes back before departures are announced":     lease+beatInterval <= settling,
		"a canary may be lost":                                     2*(beatInterval+beatJitter) < canaryPatience,
		"a publish outlives the answer to the one before it":       commandTimeout <= publishPatience,
		"a join outlives a publish":                                publishPatience < patience,
		"late ones are found soon":                                 4*housekeepingInterval <= publishPatience,
		"a clock can be told from a beat":                          fastTrip < beatInterval,
		"a new master's clock is within what is read twice":        clockMargin < lease,
		"a quota is decided before a client gives up":              fullAfter+poolTimeout+commandTimeout < patience*3/4,
		"a loss is told twice within two beats":                    2*(beatInterval+beatJitter) < toldTwice && toldTwice < lease,
		"a loss is heard of before its gap is forgotten":           lease+patience/2 <= lossHeard && settling < lossHeard,
		"redis is tried often before it is given up":               10*openPause < openPatience,
		"a topic that waits is told before its join gives up":      2*lateTopic+commandTimeout < patience,
		"a subscriber is answered in time without a roster":        commandTimeout+rosterPatience+ownPatience+housekeepingInterval < patience,
		"what is under way comes before a roster is read":          rosterPatience < (compareRounds-1)*comparePause,
		"a full node is not taken for a silent one":                canaryPatience < roomPatience,
		"what a full node has missed is still in the log":          roomPatience+canaryPatience+mostFeedPause+dialTimeout < logAge,
		"a connection is replaced before the node is not ready":    mostFeedPause+mostFeedPause/10+dialTimeout < canaryPatience,
		"rounds do not wait for each other":                        roundPause < failingPause && failingPause < beatInterval,
		"slots that have moved are found before a lease is over":   routePause < beatInterval && clusterReload <= lease,
		"there is a sweep for each beat":                           sweepPause <= beatInterval-beatJitter,
		"settling stands a beat that is late":                      beatInterval+beatJitter < settleStep && settleStep < 2*beatInterval,
		"who comes back late from a loss is looked for":            lossAudited >= settling+2*lease,
		"who buries has time for it":                               commandTimeout+beatInterval/2 < buryAgain && buryAgain < lease,
		"who is dead is known to be until everybody has asked":     lease+settling+patience < deadKept,
		"durations are in order":                                   time.Duration(0) < housekeepingInterval,
	} {
		if !holds {
			t.Error(what)
		}
	}
}
