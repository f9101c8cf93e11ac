package main

import (
	"channels/hub"
	"channels/hub/refusals"
)

// tellRefused passes on what the hub refuses.
func tellRefused(to *refusals.Log) func(hub.RefusedAsk) {
	return func(r hub.RefusedAsk) {
		to.Tell(refusals.Refusal{
			Kind: refusals.Kind(r.Asked), App: r.App.ID, Code: int(r.Fault.Code), Text: r.Fault.Message,
			Socket: r.Socket, Address: r.Address,
		})
	}
}
