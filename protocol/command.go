package protocol

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// CommandType says what a client wants.
type CommandType uint8

// What clients send.
const (
	Unknown CommandType = iota
	Subscribe
	Unsubscribe
	Ping
	Pong
	Signin
	ClientEvent
)

// Command is a message of a client. Its slices point into the message.
type Command struct {
	Type        CommandType
	Event       []byte
	Channel     []byte // of Subscribe, Unsubscribe and ClientEvent
	Auth        []byte // of Subscribe and Signin
	ChannelData []byte // of Subscribe: the JSON text inside the string
	UserData    []byte // of Signin: the JSON text inside the string
	Data        []byte // of ClientEvent: a JSON value as it was sent; nil when there is none
}

// Names of the events that clients send.
const (
	eventSubscribe   = "pusher:subscribe"
	eventUnsubscribe = "pusher:unsubscribe"
	eventPing        = "pusher:ping"
	eventPong        = "pusher:pong"
	eventSignin      = "pusher:signin"
	clientPrefix     = "client-"
)

// Decode reads the message of a client. The command points into the message, which
// Decode may overwrite. The error is a Fault; with UnsupportedEvent, the command has
// the event.
func Decode(message []byte) (Command, error) {
	if !utf8.Valid(message) {
		return Command{}, faultOf(errUTF8)
	}
	var e envelope
	if err := e.read(message); err != nil {
		return Command{}, err
	}
	switch {
	case isAbsent(e.event):
		return Command{}, MissingField("message", "event")
	case !isString(e.event):
		return Command{}, WrongType("message", "event", "a string")
	}
	cmd := Command{Event: unquoteInPlace(e.event)}
	err := cmd.complete(&e)
	return cmd, err
}

// envelope holds the tokens of an event.
type envelope struct {
	event, channel, data, userID []byte
}

// read reads an object. It does not change the message.
func (e *envelope) read(message []byte) error {
	s := scanner{text: message}
	if !s.enter('{') {
		if s.skip(); s.end() != nil {
			return faultOf(s.err)
		}
		return InvalidJSONBecause("an event is an object")
	}
	for name, ok := s.member(true); ok; name, ok = s.member(false) {
		value := s.value()
		switch string(unquoted(name)) {
		case "event":
			e.event = value
		case "channel":
			e.channel = value
		case "data":
			e.data = value
		case "user_id":
			e.userID = value
		}
	}
	if err := s.end(); err != nil {
		return faultOf(err)
	}
	return nil
}

// faultOf returns the fault for malformed JSON.
func faultOf(err error) Fault {
	if e := jsonError(""); errors.As(err, &e) && e != errSyntax {
		return InvalidJSONBecause(string(e))
	}
	return InvalidJSON()
}

// complete reads the other fields that the event needs.
func (c *Command) complete(e *envelope) error {
	switch string(c.Event) {
	case eventSubscribe:
		c.Type = Subscribe
		return c.readData(e.data)
	case eventUnsubscribe:
		c.Type = Unsubscribe
		return c.readData(e.data)
	case eventSignin:
		c.Type = Signin
		return c.readData(e.data)
	case eventPing:
		c.Type = Ping
		return nil
	case eventPong:
		c.Type = Pong
		return nil
	}
	if !bytes.HasPrefix(c.Event, []byte(clientPrefix)) {
		return UnsupportedEvent(string(c.Event))
	}
	c.Type = ClientEvent
	if !isAbsent(e.data) {
		c.Data = e.data
	}
	return c.required("channel", e.channel, &c.Channel)
}

// readData reads the data of a command: an object, or a string that holds one.
func (c *Command) readData(data []byte) error {
	if isString(data) {
		data = unquoteInPlace(data)
	} else if isAbsent(data) {
		return MissingField(string(c.Event), "data")
	}
	var f dataFields
	if !f.read(data) {
		return WrongType(string(c.Event), "data", "an object")
	}
	if c.Type == Signin {
		return c.readSignin(&f)
	}
	if err := c.required("channel", f.channel, &c.Channel); err != nil || c.Type == Unsubscribe {
		return err
	}
	if err := c.optional("auth", f.auth, &c.Auth); err != nil {
		return err
	}
	return c.optional("channel_data", f.channelData, &c.ChannelData)
}

func (c *Command) readSignin(f *dataFields) error {
	if err := c.required("auth", f.auth, &c.Auth); err != nil {
		return err
	}
	return c.required("user_data", f.userData, &c.UserData)
}

// dataFields holds the tokens of a command's data.
type dataFields struct {
	channel, auth, channelData, userData []byte
}

// read reports whether data is an object.
func (f *dataFields) read(data []byte) bool {
	s := scanner{text: data}
	if !s.enter('{') {
		return false
	}
	for name, ok := s.member(true); ok; name, ok = s.member(false) {
		value := s.value()
		switch string(unquoted(name)) {
		case "channel":
			f.channel = value
		case "auth":
			f.auth = value
		case "channel_data":
			f.channelData = value
		case "user_data":
			f.userData = value
		}
	}
	return s.end() == nil
}

func (c *Command) required(field string, token []byte, to *[]byte) error {
	if isAbsent(token) {
		return MissingField(string(c.Event), field)
	}
	return c.optional(field, token, to)
}

func (c *Command) optional(field string, token []byte, to *[]byte) error {
	switch {
	case isAbsent(token):
		return nil
	case !isString(token):
		return WrongType(string(c.Event), field, "a string")
	}
	*to = unquoteInPlace(token)
	return nil
}
