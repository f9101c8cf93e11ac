package redisbus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"channels/hub"
	"channels/protocol"
)

// kind is the first byte of a message's body, as nodes and scripts write it.
type kind byte

const (
	eventKind     kind = 'e' // who does not receive it, then the frame
	enteredKind   kind = 'i' // user, then user info
	leftKind      kind = 'o' // user
	terminateKind kind = 't' // user
	countKind     kind = 'c' // how many subscribers, in digits
	sumKind       kind = 's' // what the roster adds up to, in digits
	bundleKind    kind = 'b' // the bodies of several events, each with its length
	wakeKind      kind = 'w' // the app of which something has occurred
	unknownKind   kind = 0   // of a newer version
)

// seqDigits is the length of a sequence number, which stands before the body in
// what is published. Microseconds since 1970 have so many digits until 2286.
const seqDigits = 16

var errMalformed = errors.New("malformed message")

// bodyOf returns the body of a message that a node publishes, and where in it
// the frame starts.
func bodyOf(m hub.Message) (body string, frameAt int) {
	var b strings.Builder
	b.Grow(len(m.Frame) + len(m.Exclude) + len(m.User) + 8)
	if m.Signal == hub.Terminate {
		b.WriteByte(byte(terminateKind))
		writeString(&b, m.User)
	} else {
		b.WriteByte(byte(eventKind))
		writeString(&b, m.Exclude)
	}
	frameAt = b.Len()
	b.Write(m.Frame)
	return b.String(), frameAt
}

// writeString writes a string with its length before it, as in "3:abc".
func writeString(b *strings.Builder, s string) {
	b.WriteString(strconv.Itoa(len(s)))
	b.WriteByte(':')
	b.WriteString(s)
}

// cutString reads what writeString has written, and returns what follows.
func cutString(s string) (value, rest string, err error) {
	digits, rest, ok := strings.Cut(s, ":")
	if !ok {
		return "", "", fmt.Errorf("%w: a length is missing", errMalformed)
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > len(rest) {
		return "", "", fmt.Errorf("%w: length %.20q", errMalformed, digits)
	}
	return rest[:n], rest[n:], nil
}

// isEvent says whether a body is one or more events, which nothing makes up for when
// they are lost.
func isEvent(body string) bool {
	if body == "" {
		return false
	}
	switch kind(body[0]) {
	case eventKind, bundleKind, terminateKind:
		return true
	case enteredKind, leftKind, countKind, sumKind, wakeKind, unknownKind:
	}
	return false
}

// cutSeq takes the sequence number off what was published.
func cutSeq(payload string) (seq uint64, body string, err error) {
	if len(payload) < seqDigits {
		return 0, "", fmt.Errorf("%w: no sequence number", errMalformed)
	}
	seq, err = strconv.ParseUint(payload[:seqDigits], 10, 64)
	if err != nil {
		return 0, "", fmt.Errorf("%w: sequence number %q", errMalformed, payload[:seqDigits])
	}
	return seq, payload[seqDigits:], nil
}

// bulletin is a message's body, understood.
type bulletin struct {
	kind   kind
	user   string     // whom it is about, or who does not receive it
	rest   string     // frame, user info, number
	bundle []bulletin // of events
}

func parseBody(body string) (bulletin, error) {
	if body == "" {
		return bulletin{}, fmt.Errorf("%w: empty", errMalformed)
	}
	b := bulletin{kind: kind(body[0]), rest: body[1:]}
	var err error
	switch b.kind {
	case eventKind, enteredKind, leftKind, terminateKind:
		b.user, b.rest, err = cutString(b.rest)
	case bundleKind:
		b.bundle, err = parseBundle(b.rest)
	case countKind, sumKind, wakeKind:
	default:
		b.kind = unknownKind
	}
	return b, err
}

func parseBundle(s string) ([]bulletin, error) {
	var bundle []bulletin
	for s != "" {
		body, rest, err := cutString(s)
		if err != nil {
			return nil, err
		}
		one, err := parseBody(body)
		if err != nil {
			return nil, err
		}
		if one.kind != eventKind && one.kind != terminateKind {
			return nil, fmt.Errorf("%w: kind %q in a bundle", errMalformed, body[0])
		}
		bundle = append(bundle, one)
		s = rest
	}
	if len(bundle) == 0 {
		return nil, fmt.Errorf("%w: an empty bundle", errMalformed)
	}
	return bundle, nil
}

const (
	// maxBundle and maxBundleBytes bound how many events travel as one message.
	maxBundle      = 64
	maxBundleBytes = 256 << 10
)

// bundled returns what to publish for events that are ready together: those of a
// channel as one message, unless one of them is to be
// cached, kept, or published once.
func bundled(events []*op) []publication {
	var all []publication
	open := make(map[hub.Topic]int) // the publication that an event may still be added to
	for _, e := range events {
		at, ok := open[e.event.topic]
		alone := e.event.cacheMS != 0 || e.event.keep != nil || e.event.once != nil
		if ok && !alone && all[at].count < maxBundle && len(all[at].body)+len(e.event.body) < maxBundleBytes {
			all[at] = all[at].and(e.event)
			continue
		}
		if !alone {
			open[e.event.topic] = len(all)
		} else {
			delete(open, e.event.topic)
		}
		all = append(all, e.event)
	}
	return all
}

// and adds an event to a publication.
func (p publication) and(other publication) publication {
	var b strings.Builder
	b.Grow(len(p.body) + len(other.body) + 16)
	if p.count == 1 {
		b.WriteByte(byte(bundleKind))
		writeString(&b, p.body)
	} else {
		b.WriteString(p.body)
	}
	writeString(&b, other.body)
	p.body, p.count = b.String(), p.count+other.count
	p.occurs = append(p.occurs, other.occurs...)
	return p
}

// member keeps the difference between no user info and an empty one out of
// Redis: there is no empty JSON value.
func member(id, info string) protocol.Member {
	m := protocol.Member{ID: id}
	if info != "" {
		m.Info = []byte(info)
	}
	return m
}

// message is what the hub is told of an event, an arrival or a departure.
func (b bulletin) message(t hub.Topic, seq uint64) hub.Message {
	m := hub.Message{Topic: t, Seq: seq}
	switch b.kind {
	case eventKind:
		m.Frame, m.Exclude = []byte(b.rest), b.user
	case terminateKind:
		m.Signal, m.User = hub.Terminate, b.user
	case enteredKind:
		m.Signal, m.User = hub.Entered, b.user
		m.Frame = protocol.MemberAddedFrame(t.Channel, b.user, member(b.user, b.rest).Info)
	case leftKind:
		m.Signal, m.User = hub.Left, b.user
		m.Frame = protocol.MemberRemovedFrame(t.Channel, b.user)
	case countKind:
		n, _ := strconv.Atoi(b.rest) // digits, since a script wrote them
		m.Frame = protocol.SubscriptionCountFrame(t.Channel, n)
	case wakeKind:
		m.User = b.rest
	case sumKind, bundleKind, unknownKind: // are taken apart by the topic, or not at all
	}
	return m
}
