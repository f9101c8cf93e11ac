package hub

import (
	"bytes"
	"time"
	"unicode/utf8"

	"channels/protocol"
)

// maxEventName is the longest event name, in characters.
const maxEventName = 200

// receiveClientEvent checks a client event on the transport's goroutine. Only
// what passes is copied: anybody who knows the public key can send these.
func (c *Conn) receiveClientEvent(cmd protocol.Command) {
	if err := c.mayPublish(cmd); err != nil {
		c.refuse(AskedClientEvent, err)
		return
	}
	c.worker.post(&clientEvent{ofConn{c}, string(cmd.Channel), string(cmd.Event), bytes.Clone(cmd.Data)})
}

func (c *Conn) mayPublish(cmd protocol.Command) error {
	name := string(cmd.Channel)
	kind := protocol.KindOf(name)
	switch {
	case !c.app().ClientEvents:
		return protocol.ClientEventsDisabled()
	case utf8.RuneCount(cmd.Event) > maxEventName:
		return protocol.ClientEventNameTooLong(maxEventName)
	case kind.IsEncrypted():
		return protocol.ClientEventOnEncrypted(name)
	case !kind.AllowsClientEvents():
		return protocol.ClientEventOnPublic(name)
	case protocol.DataLen(cmd.Data) > c.app().MaxEventBytes:
		return protocol.ClientEventTooLarge(c.app().MaxEventBytes)
	case !c.asked.has(c.hub.hash(cmd.Channel)):
		return protocol.ClientEventNotSubscribed(name)
	case !c.allowClientEvent():
		return protocol.ClientEventRate()
	case !c.hub.ledger.admits(c.usage):
		return clientEventOverload
	}
	return nil
}

// Faults that answer a client event that was not published.
var (
	clientEventOverload = protocol.Fault{
		Code:    protocol.CodeClientEventRate,
		Message: "Client event not delivered: the server is overloaded",
	}
	clientEventUnavailable = protocol.Fault{
		Message: "Client event not delivered: the server's backend is out of reach",
	}
)

// clientEvent sends the event to the other subscribers, by the same way as
// every event.
func (w *worker) clientEvent(cmd *clientEvent) {
	c := cmd.conn
	if c.closed || w.claimFirst(c, cmd) {
		return
	}
	sub := c.subs.get(cmd.name)
	if sub != nil && w.later(sub, cmd) {
		return
	}
	if sub == nil || sub.stage == pending {
		w.refuse(c, AskedClientEvent, protocol.ClientEventNotSubscribed(cmd.name))
		return
	}
	userID := ""
	if sub.member != nil {
		userID = sub.member.ID
	}
	w.hub.bus.Publish(Message{
		Topic:   sub.channel.topic,
		Frame:   protocol.EventFrame(cmd.event, cmd.name, clientEventData(c.app().ClientEventData, cmd.data), userID),
		Exclude: c.id,
		Keep:    c.app().History.Of(cmd.name),
		Occurs:  sub.occurrence(cmd, userID),
	}, func(err error) {
		if err != nil {
			c.refuse(AskedClientEvent, clientEventUnavailable)
		}
	})
}

// occurrence is what webhooks tell of a client event; nil = nothing.
func (sub *subscription) occurrence(cmd *clientEvent, userID string) *Occurrence {
	if !sub.channel.hooks().Has(HookClientEvent) {
		return nil
	}
	return &Occurrence{
		Kind: HookClientEvent, Topic: sub.channel.topic, At: time.Now(), User: userID,
		Event: cmd.event, Data: clientEventData(ClientEventString, cmd.data), SocketID: sub.conn.id,
	}
}

// clientEventData puts the data into a form. Without data it is "{}", since SDKs do not
// expect it to be missing. Receivers of webhooks take strings only.
func clientEventData(form ClientEventData, data []byte) []byte {
	if len(data) == 0 {
		data = []byte(`{}`)
	}
	if form == ClientEventRaw {
		return data
	}
	return protocol.QuoteData(data)
}
