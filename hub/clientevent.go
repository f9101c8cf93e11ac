package hub

import (
	"bytes"
	"unicode/utf8"

	"channels/protocol"
)

// maxEventName is the longest event name, in characters.
const maxEventName = 200

// receiveClientEvent checks a client event on the transport's goroutine, and
// makes its bytes its own.
func (c *Conn) receiveClientEvent(cmd protocol.Command) {
	if err := c.checkClientEvent(cmd); err != nil {
		c.Fail(err)
		return
	}
	name, event := string(cmd.Channel), string(cmd.Event)
	data := bytes.Clone(cmd.Data)
	c.worker.put(func(w *worker) { w.clientEvent(c, name, event, data) })
}

func (c *Conn) checkClientEvent(cmd protocol.Command) error {
	name := string(cmd.Channel)
	kind := protocol.KindOf(name)
	switch {
	case !c.app.ClientEvents:
		return protocol.ClientEventsDisabled()
	case utf8.RuneCount(cmd.Event) > maxEventName:
		return protocol.ClientEventNameTooLong(maxEventName)
	case kind.IsEncrypted():
		return protocol.ClientEventOnEncrypted(name)
	case !kind.AllowsClientEvents():
		return protocol.ClientEventOnPublic(name)
	case protocol.DataLen(cmd.Data) > c.app.MaxEventBytes:
		return protocol.ClientEventTooLarge(c.app.MaxEventBytes)
	}
	return nil
}

// clientEvent sends the event to the other subscribers, by the same way as
// every event.
func (w *worker) clientEvent(c *Conn, name, event string, data []byte) {
	if c.closed {
		return
	}
	sub := c.subs.get(name)
	if sub != nil && sub.later(func(w *worker) { w.clientEvent(c, name, event, data) }) {
		return
	}
	if sub == nil || sub.stage == pending {
		w.send(c, protocol.ErrorFrame(protocol.ClientEventNotSubscribed(name)))
		return
	}
	if !c.allowClientEvent() {
		w.send(c, protocol.ErrorFrame(protocol.ClientEventRate()))
		return
	}
	userID := ""
	if sub.member != nil {
		userID = sub.member.ID
	}
	w.hub.bus.Publish(Message{
		Topic:   sub.channel.topic,
		Frame:   protocol.EventFrame(event, name, clientEventData(c.app, data), userID),
		Exclude: c.id,
	}, func(err error) {
		if err != nil {
			c.Fail(protocol.Fault{Message: "Client event not delivered: the server's backend is out of reach"})
		}
	})
}

func (c *Conn) allowClientEvent() bool {
	if c.clientEvents == nil {
		c.clientEvents = limiter(c.app.ClientEventsPerSecond)
	}
	return c.clientEvents == nil || c.clientEvents.Allow()
}

// clientEventData puts the data into the app's form. Without data it is "{}",
// since SDKs do not expect it to be missing.
func clientEventData(app *App, data []byte) []byte {
	if len(data) == 0 {
		data = []byte(`{}`)
	}
	if app.ClientEventData == ClientEventRaw {
		return data
	}
	return protocol.QuoteData(data)
}
