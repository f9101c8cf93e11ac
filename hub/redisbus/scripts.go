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

//go:embed lua/join.lua
var joinLua string

//go:embed lua/leave.lua
var leaveLua string

//go:embed lua/hold.lua
var holdLua string

//go:embed lua/roster.lua
var rosterLua string

//go:embed lua/beat.lua
var beatLua string

//go:embed lua/bury.lua
var buryLua string

//go:embed lua/clear.lua
var clearLua string

// script is a Lua script and the name by which Redis knows it once loaded.
type script struct {
	source string
	hash   string
}

// scripts are all there are. In a cluster they publish to the shard.
type scripts struct {
	publish, join, leave, hold, roster, beat, bury, clear script
}

func newScripts(sharded bool) *scripts {
	made := func(parts ...string) script {
		source := strings.Join(parts, "\n")
		if sharded {
			source = strings.ReplaceAll(source, "'PUBLISH'", "'SPUBLISH'")
		}
		sum := sha1.Sum([]byte(source)) //nolint:gosec // not for secrecy
		return script{source, hex.EncodeToString(sum[:])}
	}
	return &scripts{
		publish: made(commonLua, publishLua),
		join:    made(commonLua, membersLua, joinLua),
		leave:   made(commonLua, membersLua, leaveLua),
		hold:    made(commonLua, membersLua, holdLua),
		roster:  made(commonLua, membersLua, rosterLua),
		beat:    made(commonLua, membersLua, beatLua),
		bury:    made(commonLua, buryLua),
		clear:   made(commonLua, membersLua, clearLua),
	}
}

func (s *scripts) all() []script {
	return []script{s.publish, s.join, s.leave, s.hold, s.roster, s.beat, s.bury, s.clear}
}

// The first word of a script's answer.
const (
	answeredOK       = "ok"
	answeredFull     = "full"     // no room; nothing was done
	answeredDoubtful = "doubtful" // no room, but for connections that may be gone; nothing was done
	answeredLate     = "late"     // past the deadline; nothing was done
	answeredFenced   = "fenced"   // the node was declared dead; nothing was done
	answeredUnknown  = "unknown"  // Redis does not know the node; nothing was done
	answeredSettling = "settling" // nodes are still coming back; nothing was done
)
