package webhook

import (
	"slices"

	"channels/hub"
)

// names are what kinds of occurrences are called in bodies and settings.
var names = map[hub.Hooks]string{
	hub.HookOccupied:      "channel_occupied",
	hub.HookVacated:       "channel_vacated",
	hub.HookMemberAdded:   "member_added",
	hub.HookMemberRemoved: "member_removed",
	hub.HookClientEvent:   "client_event",
	hub.HookCacheMiss:     "cache_miss",
	hub.HookCount:         "subscription_count",
}

// Names returns what the kinds are called, in order.
func Names() []string {
	var all []string
	for kind := hub.HookOccupied; kind <= hub.HookCount && kind != 0; kind <<= 1 {
		all = append(all, names[kind])
	}
	return all
}

// KindOf returns the kind with a name; 0 = there is none.
func KindOf(name string) hub.Hooks {
	at := slices.Index(Names(), name)
	if at < 0 {
		return 0
	}
	return hub.HookOccupied << at
}
