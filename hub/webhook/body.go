package webhook

import (
	"encoding/json"
	"time"

	"channels/hub"
)

// event is an occurrence as its receiver reads it; see protocol.md, section 6.2.
type event struct {
	Name     string          `json:"name"`
	Channel  string          `json:"channel"`
	Event    string          `json:"event,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
	SocketID string          `json:"socket_id,omitempty"`
	UserID   string          `json:"user_id,omitempty"`
	Count    *int            `json:"subscription_count,omitempty"`
}

func eventOf(o hub.Occurrence) event {
	e := event{
		Name: names[o.Kind], Channel: o.Topic.Channel, UserID: o.User,
		Event: o.Event, Data: o.Data, SocketID: o.SocketID,
	}
	if o.Kind == hub.HookCount {
		e.Count = &o.Count
	}
	return e
}

// bodyOf returns what is sent of some occurrences.
func bodyOf(created time.Time, occurrences []hub.Occurrence) []byte {
	events := make([]event, len(occurrences))
	for i, o := range occurrences {
		events[i] = eventOf(o)
	}
	body, err := json.Marshal(struct {
		Time   int64   `json:"time_ms"`
		Events []event `json:"events"`
	}{created.UnixMilli(), events})
	if err != nil {
		return nil // the data is a JSON string, or the event would not have been relayed
	}
	return body
}
