package protocol

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxEventName is how long an event's name may be, in characters.
const maxEventName = 200

// Limits bound what an app publishes in one request; 0 = no limit.
type Limits struct {
	EventBytes int // bytes of an event's data
	Channels   int // channels of an event
	Batch      int // events of a batch
}

// Info is the set of a channel's attributes that a request asks for.
type Info uint8

// Attributes of a channel.
const (
	UserCount Info = 1 << iota
	SubscriptionCount
	CacheInfo
)

// ParseInfo reads the attributes that a request names in info, separated by commas.
// The error is a RequestError.
func ParseInfo(s string) (Info, error) {
	var info Info
	if s == "" {
		return 0, nil
	}
	for name := range strings.SplitSeq(s, ",") {
		switch strings.TrimSpace(name) {
		case "user_count":
			info |= UserCount
		case "subscription_count":
			info |= SubscriptionCount
		case "cache":
			info |= CacheInfo
		default:
			return 0, badRequest("info should be a comma separated list of attributes")
		}
	}
	return info, nil
}

// Trigger is an event that an application publishes.
type Trigger struct {
	Name     string
	Channels []string // at least one, each once
	Data     []byte   // a JSON string; may share memory with the body
	SocketID string   // connection that does not get it; "" = none
	Info     Info

	// IdempotencyKey marks a request that is to be carried out once; "" = none.
	IdempotencyKey string
}

// Batch is a number of events that an application publishes together.
type Batch struct {
	Events         []Trigger
	IdempotencyKey string // as that of a Trigger
}

func badRequest(text string) RequestError { return RequestError{Status: 400, Text: text} }

// DecodeTrigger reads the body of POST events, and does not change it. The error is
// a RequestError.
func DecodeTrigger(body []byte, l Limits) (Trigger, error) {
	if !utf8.Valid(body) {
		return Trigger{}, badBody(errUTF8)
	}
	s := scanner{text: body}
	f, err := readTrigger(&s)
	if err != nil {
		return Trigger{}, err
	}
	if err := s.end(); err != nil {
		return Trigger{}, badBody(err)
	}
	return f.trigger(l)
}

// DecodeBatch reads the body of POST batch_events, and does not change it. An event
// of a batch has one channel. The error is a RequestError.
func DecodeBatch(body []byte, l Limits) (Batch, error) {
	if !utf8.Valid(body) {
		return Batch{}, badBody(errUTF8)
	}
	members, key, err := readBatch(body)
	if err != nil {
		return Batch{}, err
	}
	batch := Batch{}
	if batch.IdempotencyKey, err = optionalString("idempotency_key", key); err != nil {
		return Batch{}, err
	}
	s := scanner{text: members}
	if !s.enter('[') {
		return Batch{}, badRequest("batch must be an array of events")
	}
	for more := s.next(true, ']'); more; more = s.next(false, ']') {
		if l.Batch > 0 && len(batch.Events) == l.Batch {
			return Batch{}, badRequest("The batch exceeds the allowed maximum (" + strconv.Itoa(l.Batch) + " events)")
		}
		f, err := readTrigger(&s)
		if err != nil {
			return Batch{}, batchError(len(batch.Events), err)
		}
		f.inBatch = true
		t, err := f.trigger(l)
		if err != nil {
			return Batch{}, batchError(len(batch.Events), err)
		}
		batch.Events = append(batch.Events, t)
	}
	return batch, nil
}

// readBatch returns the JSON of the body's members batch and idempotency_key.
func readBatch(body []byte) (batch, key []byte, err error) {
	s := scanner{text: body}
	if !s.enter('{') {
		return nil, nil, notAnObject(&s)
	}
	for name, ok := s.member(true); ok; name, ok = s.member(false) {
		value := s.value()
		switch string(unquoted(name)) {
		case "batch":
			batch = value
		case "idempotency_key":
			key = value
		}
	}
	if err := s.end(); err != nil {
		return nil, nil, badBody(err)
	}
	return batch, key, nil
}

// batchError adds to a refusal which event of the batch it is about. It leaves the
// one about too much data as the hosted service words it.
func batchError(index int, err error) error {
	if e := (RequestError{}); errors.As(err, &e) && e.Status == 400 {
		e.Text = "Event " + strconv.Itoa(index) + " of the batch: " + e.Text
		return e
	}
	return err
}

func badBody(err error) RequestError { return badRequest("The body is invalid JSON: " + err.Error()) }

// notAnObject refuses a text that does not begin as an object. It says whether that
// is JSON at all.
func notAnObject(s *scanner) RequestError {
	if s.skip(); s.err != nil {
		return badBody(s.err)
	}
	return badRequest("The body must hold a JSON object")
}

// triggerFields are the members of a JSON object that describes an event, each as
// JSON; nil where there is none.
type triggerFields struct {
	name, data, channel, channels, socketID, info, once []byte

	inBatch bool // the event is one of a batch
}

// readTrigger reads the members of one object.
func readTrigger(s *scanner) (f triggerFields, err error) {
	if !s.enter('{') {
		return f, notAnObject(s)
	}
	for name, ok := s.member(true); ok; name, ok = s.member(false) {
		value := s.value()
		switch string(unquoted(name)) {
		case "name":
			f.name = value
		case "data":
			f.data = value
		case "channel":
			f.channel = value
		case "channels":
			f.channels = value
		case "socket_id":
			f.socketID = value
		case "info":
			f.info = value
		case "idempotency_key":
			f.once = value
		}
	}
	if s.err != nil {
		return f, badBody(s.err)
	}
	return f, nil
}

// trigger checks the fields and returns the event.
func (f *triggerFields) trigger(l Limits) (t Trigger, err error) {
	if t.Name, err = f.eventName(); err != nil {
		return Trigger{}, err
	}
	if t.Channels, err = f.channelNames(l.Channels); err != nil {
		return Trigger{}, err
	}
	if t.SocketID, err = optionalString("socket_id", f.socketID); err != nil {
		return Trigger{}, err
	}
	if !isAbsent(f.socketID) && !ValidSocketID(t.SocketID) {
		return Trigger{}, badRequest("Invalid socket_id: " + strconv.Quote(cutName(t.SocketID)))
	}
	if t.IdempotencyKey, err = optionalString("idempotency_key", f.once); err != nil {
		return Trigger{}, err
	}
	info, err := optionalString("info", f.info)
	if err != nil {
		return Trigger{}, err
	}
	if t.Info, err = ParseInfo(info); err != nil {
		return Trigger{}, err
	}
	t.Data, err = f.dataString(l.EventBytes)
	if err != nil {
		return Trigger{}, err
	}
	return t, nil
}

func (f *triggerFields) eventName() (string, error) {
	name, err := optionalString("name", f.name)
	switch {
	case err != nil:
		return "", err
	case name == "":
		return "", badRequest("Missing parameter: name")
	case utf8.RuneCountInString(name) > maxEventName:
		return "", badRequest("The event name exceeds the allowed maximum (" + strconv.Itoa(maxEventName) + " characters)")
	case strings.HasPrefix(name, "pusher:"), strings.HasPrefix(name, "pusher_internal:"):
		return "", badRequest("The event name " + strconv.Quote(name) + " is reserved: only Pusher can publish events with that prefix")
	}
	return name, nil
}

func (f *triggerFields) channelNames(limit int) ([]string, error) {
	if f.inBatch || isAbsent(f.channels) {
		return f.channelName()
	}
	names, ok := stringsOf(f.channels)
	switch {
	case !ok:
		return nil, badRequest("channels must be an array of strings")
	case len(names) == 0:
		return nil, badRequest("channels must name at least one channel")
	case limit > 0 && len(names) > limit:
		return nil, badRequest("The number of channels exceeds the allowed maximum (" + strconv.Itoa(limit) + ")")
	}
	for _, name := range names {
		if !ValidChannel(name) {
			return nil, invalidChannel(name)
		}
	}
	names = distinct(names)
	if len(names) > 1 && slices.ContainsFunc(names, func(name string) bool { return KindOf(name).IsEncrypted() }) {
		return nil, badRequest("An event for an encrypted channel cannot be published to other channels as well")
	}
	return names, nil
}

// channelName returns the channel of an event that has one, from the field channel.
func (f *triggerFields) channelName() ([]string, error) {
	name, err := optionalString("channel", f.channel)
	switch {
	case err != nil:
		return nil, err
	case isAbsent(f.channel) && f.inBatch:
		return nil, badRequest("Missing parameter: channel")
	case isAbsent(f.channel):
		return nil, badRequest("Missing parameter: channels")
	case !ValidChannel(name):
		return nil, invalidChannel(name)
	}
	return []string{name}, nil
}

func invalidChannel(name string) RequestError {
	return badRequest("Invalid channel name: " + cutName(name))
}

// distinct removes repeated names, in place.
func distinct(names []string) []string {
	const few = 16 // names that are compared faster with each other than with a map
	kept := names[:0]
	if len(names) <= few {
		for _, name := range names {
			if !slices.Contains(kept, name) {
				kept = append(kept, name)
			}
		}
		return kept
	}
	seen := make(map[string]struct{}, len(names))
	for _, name := range names {
		if _, ok := seen[name]; !ok {
			seen[name] = struct{}{}
			kept = append(kept, name)
		}
	}
	return kept
}

// dataString returns the data as a JSON string: as it was posted, or the JSON of any
// other value inside a string.
func (f *triggerFields) dataString(limit int) ([]byte, error) {
	if isAbsent(f.data) {
		return nil, badRequest("Missing parameter: data")
	}
	// Without its escapes a string is shorter, so most need not be measured.
	if limit > 0 && len(f.data) > limit && DataLen(f.data) > limit {
		return nil, RequestError{Status: 413, Text: "The data content of this event exceeds the allowed maximum (" +
			strconv.Itoa(limit) + " bytes). See https://pusher.com/docs/channels/server_api/http-api#publishing-events for more info"}
	}
	return QuoteData(f.data), nil
}

// optionalString returns the string that the JSON of a field is; "" for an absent
// field.
func optionalString(name string, token []byte) (string, error) {
	switch {
	case isAbsent(token):
		return "", nil
	case !isString(token):
		return "", badRequest(name + " must be a string")
	}
	return string(unquoted(token)), nil
}
