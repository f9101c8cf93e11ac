package webhook

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"channels/hub"
)

// parcel is a delivery: one body for one endpoint. Every try of it is the same.
type parcel struct {
	ID       string          `json:"id"`
	Endpoint string          `json:"endpoint"` // see idOf
	URL      string          `json:"url"`
	Created  int64           `json:"created"` // ms since 1970; anew when it is replayed
	Body     json.RawMessage `json:"body"`
	Channels []string        `json:"channels"`
	Members  []string        `json:"members"`          // ids of occurrences
	Reason   string          `json:"reason,omitempty"` // why it was given up

	oldest    time.Time // when the first of its occurrences was
	tries     int
	takenOver bool       // from an earlier owner, or from what was given up
	occurring []*waiting // its occurrences that are known here
}

// idOf names an endpoint: what is kept for it outlives a change of its other settings.
func idOf(w *hub.Webhook) string { return w.URL + " " + w.ChannelPrefix }

// newParcel makes one of what waits.
func newParcel(w *hub.Webhook, now time.Time, items []*waiting) *parcel {
	p := &parcel{
		ID:       fmt.Sprintf("%013x-%08x", now.UnixMicro(), rand.Uint32()), //nolint:gosec // not for secrecy
		Endpoint: idOf(w), URL: w.URL, Created: now.UnixMilli(), oldest: now, occurring: items,
	}
	occurrences := make([]hub.Occurrence, len(items))
	for i, item := range items {
		occurrences[i] = item.of
		p.Members = append(p.Members, item.of.ID)
		if item.of.At.Before(p.oldest) {
			p.oldest = item.of.At
		}
		if channel := item.of.Topic.Channel; !slices.Contains(p.Channels, channel) {
			p.Channels = append(p.Channels, channel)
		}
	}
	p.Body = bodyOf(now, occurrences)
	return p
}

// pack returns the parcel as a Store keeps it.
func (p *parcel) pack() hub.Parcel {
	record, err := json.Marshal(p)
	if err != nil {
		record = nil // it has nothing that cannot be written
	}
	return hub.Parcel{ID: p.ID, Record: record}
}

// unpack reads what pack has written.
func unpack(kept hub.Parcel) (*parcel, error) {
	p := new(parcel)
	if err := json.Unmarshal(kept.Record, p); err != nil {
		return nil, fmt.Errorf("delivery %s: %w", kept.ID, err)
	}
	p.oldest = time.UnixMilli(p.Created)
	return p, nil
}

// replayed returns a parcel that was given up as it is delivered again: with a new time,
// since receivers refuse what is old.
func (p *parcel) replayed(now time.Time) *parcel {
	var body map[string]json.RawMessage
	again := *p
	again.Created, again.Reason = now.UnixMilli(), ""
	if json.Unmarshal(p.Body, &body) == nil {
		again.Body = append(fmt.Appendf(nil, `{"time_ms":%d,"events":`, again.Created), append(body["events"], '}')...)
	}
	return &again
}

// Attempt is a try of a delivery, for the operator.
type Attempt struct {
	ID     string        `json:"id"`
	URL    string        `json:"url"`
	At     time.Time     `json:"at"`
	Took   time.Duration `json:"took"`
	Try    int           `json:"try"` // 1 = the first
	Status int           `json:"status,omitempty"`
	Answer string        `json:"answer,omitempty"` // how it begins
	Error  string        `json:"error,omitempty"`
	Events int           `json:"events"`
}

// pack returns the attempt as a Store keeps it.
func (a *Attempt) pack() []byte {
	text, err := json.Marshal(a)
	if err != nil {
		return nil // it has nothing that cannot be written
	}
	return text
}

// ok says that the receiver has taken it.
func (a *Attempt) ok() bool { return a.Error == "" && a.Status >= 200 && a.Status < 300 }

// reason says why it has not.
func (a *Attempt) reason() string {
	if a.Error != "" {
		return a.Error
	}
	return fmt.Sprintf("the endpoint answered %d", a.Status)
}
