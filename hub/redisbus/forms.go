package redisbus

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// form names a script's arguments, for Go and for Lua. Arguments stand in this order:
// those of every script, those that a script has once, and then any number of items.
// What stands here is the whole interface between nodes and scripts; a node knows a
// script by the hash of its text, so neighbouring versions have scripts of their own.
type form struct {
	once  []string
	items []item
}

// item is what a list has several of. In Lua, take(name) makes locals of the fields of
// the next one.
type item struct {
	name   string
	fields []string
}

// ofAll are the arguments that every script has.
var ofAll = []string{"me", "deadline", "log_bytes"}

// publishForm is that of the scripts that publish.
var publishForm = form{
	once: []string{
		"events",      // how many
		"cache_bytes", // how many an app's cached events may take in a partition
	},
	items: []item{{"event", []string{
		"app", "channel",
		"body",     // of one event, or of several as a bundle
		"count",    // of its events; then h if it is kept in the channel's history, o if it is published once, and + and how many occurrences follow
		"cache_ms", // for how long it is the channel's cached event; 0 = it is none
		"frame_at", // where in the body the frame starts
	}}, {"history", []string{
		"most_events", // of a channel
		"age_us",      // for how long an event is kept
		"most_bytes",  // of a channel
		"most_total",  // bytes of the app's histories in a partition
	}}, {"once", []string{
		"part",    // its name
		"once_ms", // for how long it is known
	}}, {"occurrence", []string{"user", "event_name", "data", "socket"}}},
}

// forms are those of the scripts, by the names of their files. What calls.go puts into
// args has the same order.
var forms = map[string]form{
	"publish": publishForm, // nothing is kept in a history
	"keeping": publishForm,
	"state": {
		once: []string{
			"channels",  // how many
			"only_goes", // 1 = nobody comes
		},
		items: []item{
			{"state", []string{
				"app", "channel",
				"flags",            // see state.lua
				"subscribers",      // of the node
				"most_subscribers", // of all nodes; 0 = any number
				"moves",            // how many follow
			}},
			{"hook", []string{ // with the flag w
				"kinds", // that are noted
				"cause", // flags of occurrences; see occur.lua
			}},
			{"move", []string{
				"sign", // + or -; = for + that is no news, ~ for - since a connection has ended
				"user", "info",
				"most_users", // 0 = any number
			}},
		},
	},
	"enter": {once: []string{
		"comes",         // 1 = it comes, 0 = it looks
		"old",           // the name that it had before; "" = none
		"lost",          // 1 = it comes because Redis has lost something
		"known_epoch",   // of the data that it knows
		"known",         // the highest number that it knows
		"published",     // the highest of an event that it has published and that was logged
		"published_app", // whose event that was
		"heard",         // the highest of an event that has come to it before its connection broke
		"heard_app",     // whose event that was
		"settle_us",     // for how long departures are held back at least after a loss
	}},
	"settle": {
		once:  []string{"done"}, // 1 = the node has said all that it has
		items: []item{{"old", []string{"old_name"}}},
	},
	"bury": {once: []string{"prefix"}},
	"clear": {once: []string{
		"step",   // about how many users and channels to remove
		"graced", // apps whose members are kept for a while, each between spaces
	}},
	"sweep": {},
	"erase": {once: []string{
		"app", "channel",
		"number", // of the event; "" = all
	}},
	"beat": {once: []string{
		"beat",     // its number
		"heard",    // the last beat that is known to have been heard
		"lease_us", // for how long the lease lasts
		"is_new",   // 1 = the lease
		"version",  // of the node
		"late_us",  // the age from which on a lease is late
	}},
	"past": {once: []string{
		"app", "channel",
		"after",  // the first number that is wanted
		"age_us", // what is older is not
		"most",   // entries
		"newest", // 1 = the newest, newest first
	}},
	"begin": {once: []string{"request", "body_hash", "once_ms"}},
	"claim": {once: []string{
		"token", "owner",
		"life_ms", // for how long the token is kept
	}},
	"note": {
		once:  []string{"marks"}, // how many
		items: []item{{"mark", []string{"token", "owner", "text", "life_ms"}}},
	},
	"canary":  {once: []string{"where"}},
	"compare": {items: []item{{"topic", []string{"app", "channel"}}}},
	"roster":  {once: []string{"app", "channel"}},
	"deliver": {once: []string{
		"app",
		"lease_ms", // for how long the node delivers
	}},
}

// header is what stands before all else in a script: its arguments by name.
func (f form) header() string {
	names := slices.Concat(ofAll, f.once)
	text := "local " + strings.Join(names, ", ") + " = " + arguments("", len(names))
	if len(f.items) > 0 {
		text += fmt.Sprintf("\nlocal at = %d", len(names)+1)
	}
	return text
}

// arguments are some in a row, from the first or from a place on.
func arguments(from string, count int) string {
	all := make([]string, count)
	for i := range all {
		all[i] = fmt.Sprintf("ARGV[%d]", i+1)
		if from != "" {
			all[i] = fmt.Sprintf("ARGV[%s + %d]", from, i)
		}
	}
	return strings.Join(all, ", ")
}

// taking is a line of a script that takes an item.
var taking = regexp.MustCompile(`(?m)^( *)take\((\w+)\)$`)

// expand writes out what a script takes.
func (f form) expand(source string) string {
	return taking.ReplaceAllStringFunc(source, func(line string) string {
		m := taking.FindStringSubmatch(line)
		i := slices.IndexFunc(f.items, func(of item) bool { return of.name == m[2] })
		if i < 0 {
			panic("a script takes " + m[2] + ", which its form lacks")
		}
		fields := f.items[i].fields
		return fmt.Sprintf("%slocal %s = %s\n%sat = at + %d",
			m[1], strings.Join(fields, ", "), arguments("at", len(fields)), m[1], len(fields))
	})
}
