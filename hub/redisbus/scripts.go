package redisbus

import (
	"crypto/sha1" //nolint:gosec // the name by which Redis knows scripts
	_ "embed"
	"encoding/hex"
	"strings"
)

//go:embed lua/common.lua
var commonLua string

//go:embed lua/members.lua
var membersLua string

//go:embed lua/publish.lua
var publishLua string

//go:embed lua/state.lua
var stateLua string

//go:embed lua/enter.lua
var enterLua string

//go:embed lua/settle.lua
var settleLua string

//go:embed lua/bury.lua
var buryLua string

//go:embed lua/clear.lua
var clearLua string

//go:embed lua/sweep.lua
var sweepLua string

//go:embed lua/beat.lua
var beatLua string

//go:embed lua/canary.lua
var canaryLua string

//go:embed lua/compare.lua
var compareLua string

//go:embed lua/roster.lua
var rosterLua string

// script is a Lua script and the name by which Redis knows it once loaded.
type script struct {
	source string
	hash   string
}

// scripts are all there are.
type scripts struct {
	publish, state, enter, settle, bury, clear, sweep, beat, canary, compare, roster script
}

// newScripts returns the scripts. In a cluster they publish to the shard.
func newScripts(sharded bool) *scripts {
	verb := "local publish = 'PUBLISH'"
	if sharded {
		verb = "local publish = 'SPUBLISH'"
	}
	made := func(own string) script {
		source := strings.Join([]string{verb, commonLua, membersLua, own}, "\n")
		sum := sha1.Sum([]byte(source)) //nolint:gosec // not for secrecy
		return script{source, hex.EncodeToString(sum[:])}
	}
	return &scripts{
		publish: made(publishLua), state: made(stateLua), enter: made(enterLua), settle: made(settleLua),
		bury: made(buryLua), clear: made(clearLua), sweep: made(sweepLua), beat: made(beatLua),
		canary: made(canaryLua), compare: made(compareLua), roster: made(rosterLua),
	}
}

func (s *scripts) all() []script {
	return []script{
		s.publish, s.state, s.enter, s.settle, s.bury, s.clear, s.sweep, s.beat, s.canary, s.compare, s.roster,
	}
}

// The first word of a script's answer, where it has done nothing. Else it is ok.
const (
	answeredLate    = "late"    // past the deadline
	answeredFenced  = "fenced"  // the node was declared dead
	answeredUnknown = "unknown" // Redis does not know the node
)
