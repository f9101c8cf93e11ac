package protocol

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// maxMemberID is the longest user_id of a member, in characters.
const maxMemberID = 128

// Member is a user in a presence channel.
type Member struct {
	ID   string
	Info []byte // a JSON object as it stands; nil when there is none
}

// ParseChannelData reads the channel_data of a subscribe. A user_id that is a
// number keeps its digits as they were signed. The member shares no bytes with
// raw. The error is a Fault.
func ParseChannelData(raw []byte) (Member, error) {
	var id, info []byte
	s := scanner{text: raw}
	if !utf8.Valid(raw) || !s.enter('{') {
		return Member{}, BadChannelData()
	}
	for name, ok := s.member(true); ok; name, ok = s.member(false) {
		value := s.value()
		switch string(unquoted(name)) {
		case "user_id":
			id = value
		case "user_info":
			info = value
		}
	}
	if s.end() != nil {
		return Member{}, BadChannelData()
	}
	return newMember(id, info)
}

func newMember(id, info []byte) (Member, error) {
	var m Member
	switch {
	case isString(id):
		m.ID = string(unquoted(id))
	case isNumber(id):
		m.ID = string(id)
	}
	if m.ID == "" {
		return Member{}, BadUserID()
	}
	if utf8.RuneCountInString(m.ID) > maxMemberID {
		return Member{}, UserIDTooLong(maxMemberID)
	}
	if !isAbsent(info) {
		if !isObject(info) {
			return Member{}, BadUserInfo()
		}
		m.Info = bytes.Clone(info)
	}
	return m, nil
}

// AppendRoster appends the data of a presence channel's acknowledgement. Each
// member has an entry in the hash, since dotnet looks it up for every id.
func AppendRoster(dst []byte, members []Member) []byte {
	size := len(`{"presence":{"count":,"ids":[],"hash":{}}}`) + 20
	for _, m := range members {
		size += 2*quotedLen(m.ID) + len(m.Info) + len(`,,:{}`)
	}
	if cap(dst)-len(dst) < size {
		dst = append(make([]byte, 0, len(dst)+size), dst...)
	}
	dst = strconv.AppendInt(append(dst, `{"presence":{"count":`...), int64(len(members)), 10)
	dst = append(dst, `,"ids":[`...)
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, m.ID)
	}
	dst = append(dst, `],"hash":{`...)
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, m.ID), ':')
		if len(m.Info) == 0 {
			dst = append(dst, '{', '}')
		}
		dst = append(dst, m.Info...)
	}
	return append(dst, "}}}"...)
}
