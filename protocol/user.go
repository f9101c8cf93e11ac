package protocol

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// User is who a connection is signed in as.
type User struct {
	ID        string
	Info      []byte // user_info, a JSON object as it stands; nil when there is none
	Watchlist []string
}

// ParseUserData reads the user_data of a signin. The user shares no bytes with
// raw. The error is a Fault.
func ParseUserData(raw []byte) (User, error) {
	var id, info, watchlist []byte
	s := scanner{text: raw}
	if !utf8.Valid(raw) || !s.enter('{') {
		return User{}, BadUserData("it must be a JSON object")
	}
	for name, ok := s.member(true); ok; name, ok = s.member(false) {
		value := s.value()
		switch string(unquoted(name)) {
		case "id":
			id = value
		case "user_info":
			info = value
		case "watchlist":
			watchlist = value
		}
	}
	if s.end() != nil {
		return User{}, BadUserData("it must be a JSON object")
	}
	return newUser(id, info, watchlist)
}

func newUser(id, info, watchlist []byte) (User, error) {
	if !isString(id) || len(id) == len(`""`) {
		return User{}, BadUserData("id must be a non-empty string")
	}
	u := User{ID: string(unquoted(id))}
	if !validUserID(u.ID) {
		return User{}, BadUserData("id must have at most " + strconv.Itoa(maxUserID) + " characters, none of them a control character")
	}
	if !isAbsent(info) {
		if !isObject(info) {
			return User{}, BadUserData("user_info must be an object")
		}
		u.Info = bytes.Clone(info)
	}
	if !isAbsent(watchlist) {
		var ok bool
		if u.Watchlist, ok = stringsOf(watchlist); !ok {
			return User{}, BadUserData("watchlist must be an array of strings")
		}
	}
	return u, nil
}

// stringsOf reads a valid JSON value; false when it is no array of strings.
func stringsOf(array []byte) (list []string, ok bool) {
	s := scanner{text: array}
	if !s.enter('[') {
		return nil, false
	}
	list = make([]string, 0, min(bytes.Count(array, []byte(","))+1, 128))
	for more := s.next(true, ']'); more; more = s.next(false, ']') {
		token := s.value()
		if !isString(token) {
			return nil, false
		}
		list = append(list, string(unquoted(token)))
	}
	return list, true
}
