package chatapp

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRooms(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		for _, test := range []struct{ name, kind, room, want string }{
			{"open", KindOpen, " Garden ", ""},
			{"closed", KindClosed, "Cellar", ""},
			{"taken", KindClosed, "GARDEN", "room_name_taken"},
			{"taken by general", KindOpen, "General", "room_name_taken"},
			{"direct", KindDirect, "x", "bad_room_kind"},
			{"no kind", "", "x", "bad_room_kind"},
			{"no name", KindOpen, "\t", "bad_name"},
		} {
			r, err := s.createRoom(ctx, anna, test.kind, test.room)
			wantFault(t, test.name, err, test.want)
			if err != nil {
				continue
			}
			if r.Rev != 1 || r.MemberCount != 1 || r.Role != RoleOwner || !r.Member || r.Name != strings.TrimSpace(test.room) ||
				r.Channel != "presence-chat-room-"+r.ID+"-1" || r.Last != nil || r.With != nil {
				t.Errorf("%s: created %+v", test.name, r)
			}
			wantOutbox(t, s, roomStream(r.ID), 0, "1.0 event members-changed", "1.1 user room-added")
		}
		mine, others, err := s.rooms(ctx, anna)
		if err != nil || len(mine) != 3 || others == nil || len(others) != 0 {
			t.Errorf("rooms of anna = %+v, %+v, %v; want 3 and an empty list", mine, others, err)
		}
		mine, others, err = s.rooms(ctx, ben)
		if err != nil || len(mine) != 1 || len(others) != 1 || others[0].Name != "Garden" {
			t.Fatalf("rooms of ben = %+v, %+v, %v; want general, and the garden to join", mine, others, err)
		}
		garden := others[0].ID
		mustPost(t, s, anna, garden, "c1", "the roses bloom")
		r, members, err := s.room(ctx, ben, garden)
		if err != nil || r.Member || r.Last != nil || r.Unread != 0 || r.Role != "" || members == nil || len(members) != 0 {
			t.Errorf("the garden for ben = %+v, %v, %v; want nothing of what is inside", r, members, err)
		}
		if r, members, err = s.room(ctx, anna, garden); err != nil || r.Last == nil || r.Last.Text != "the roses bloom" || len(members) != 1 {
			t.Errorf("the garden for anna = %+v, %v, %v; want the last message", r, members, err)
		}
	})
}

func TestRoomsThatThereAreNot(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, ben, cleo := signUpAs(t, s, "anna"), signUpAs(t, s, "ben"), signUpAs(t, s, "cleo")
		closed := mustRoom(t, s, ben, KindClosed, "cellar")
		annaToken, err := s.createSession(ctx, anna, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		direct, _, err := s.directRoom(ctx, ben, cleo.ID)
		if err != nil {
			t.Fatal(err)
		}
		m := mustPost(t, s, ben, closed.ID, "c", "x")
		for name, room := range map[string]string{
			"closed": closed.ID, "direct": direct.ID, "unknown": newID(), "empty": "", "NUL": "a\x00b", "broken": "\xff", "long": strings.Repeat("a", 1000),
		} {
			doing := map[string]error{}
			_, _, doing["room"] = s.room(ctx, anna, room)
			_, doing["join"] = s.join(ctx, anna, room)
			doing["leave"] = s.leave(ctx, anna, room)
			_, _, doing["addMember"] = s.addMember(ctx, anna, room, anna.ID)
			_, _, doing["removeMember"] = s.removeMember(ctx, anna, room, ben.ID)
			_, _, doing["post"] = s.post(ctx, anna, room, "c", "x")
			_, doing["edit"] = s.edit(ctx, anna, room, m.ID, "x")
			_, doing["deleteMessage"] = s.deleteMessage(ctx, anna, room, m.ID)
			_, doing["page"] = s.page(ctx, anna, room, 0, 50)
			_, doing["changes"] = s.changes(ctx, anna, room, 0, 50)
			for what, err := range doing {
				wantFault(t, what+" of a room that is "+name, err, "no_such_room")
			}
			_, _, err := newReads(s, slog.New(slog.DiscardHandler)).mark(ctx, anna, room, 1)
			wantFault(t, "reading in a room that is "+name, err, "no_such_room")
			_, err = s.maySubscribe(ctx, annaToken, roomChannel(room, 1))
			wantFault(t, "subscribing to a room that is "+name, err, "forbidden")
		}
		if rev := revOf(t, s, ben, closed.ID); rev != m.Rev {
			t.Errorf("revision %d after refusals, want %d", rev, m.Rev)
		}
	})
}

func TestDirectRooms(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, ben, cleo := signUpAs(t, s, "anna"), signUpAs(t, s, "ben"), signUpAs(t, s, "cleo")
		r, created, err := s.directRoom(ctx, anna, ben.ID)
		if err != nil || !created || r.Name != "ben" || r.With == nil || *r.With != ben.User || r.MemberCount != 2 || r.Rev != 1 {
			t.Fatalf("directRoom = %+v, %v, %v", r, created, err)
		}
		wantOutbox(t, s, roomStream(r.ID), 0, "1.0 event members-changed", "1.1 user room-added", "1.2 user room-added")
		again, created, err := s.directRoom(ctx, ben, anna.ID)
		if err != nil || created || again.ID != r.ID || again.Name != "anna" {
			t.Errorf("directRoom from the other side = %+v, %v, %v; want the same room", again, created, err)
		}
		_, _, err = s.directRoom(ctx, anna, anna.ID)
		wantFault(t, "with oneself", err, "bad_parameter")
		_, _, err = s.directRoom(ctx, anna, newID())
		wantFault(t, "with nobody", err, "no_such_user")
		_, _, err = s.directRoom(ctx, anna, "\x00")
		wantFault(t, "with a bad id", err, "no_such_user")
		_, err = s.join(ctx, anna, r.ID)
		wantFault(t, "join", err, "direct_room")
		wantFault(t, "leave", s.leave(ctx, anna, r.ID), "direct_room")
		_, _, err = s.addMember(ctx, anna, r.ID, cleo.ID)
		wantFault(t, "add", err, "direct_room")
		_, _, err = s.removeMember(ctx, anna, r.ID, ben.ID)
		wantFault(t, "remove", err, "direct_room")
		if rev := revOf(t, s, anna, r.ID); rev != 1 {
			t.Errorf("revision %d after refusals, want 1", rev)
		}
	})
}

func TestMembership(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		admin, anna, ben := signUpAs(t, s, "admin"), signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		cleo := signUpAs(t, s, "cleo")
		room := mustRoom(t, s, anna, KindClosed, "cellar", ben).ID
		wantOutbox(t, s, roomStream(room), 2, "2.0 event members-changed", "2.1 user room-added")
		mustPost(t, s, anna, room, "c3", "x")

		r, members, err := s.addMember(ctx, ben, room, cleo.ID)
		if err != nil || r.Rev != 4 || len(members) != 3 || members[0].User != anna.User || members[0].Role != RoleOwner {
			t.Fatalf("addMember by a member = %+v, %+v, %v", r, members, err)
		}
		if r, _, err := s.room(ctx, cleo, room); err != nil || r.Unread != 0 || r.ReadSeq != 3 {
			t.Errorf("the room for who was added = %+v, %v; want nothing unread", r, err)
		}
		_, _, err = s.addMember(ctx, ben, room, cleo.ID)
		wantFault(t, "add again", err, "")
		_, _, err = s.addMember(ctx, ben, room, newID())
		wantFault(t, "add nobody", err, "no_such_user")
		_, _, err = s.removeMember(ctx, ben, room, cleo.ID)
		wantFault(t, "remove by a member", err, "not_allowed")
		_, _, err = s.removeMember(ctx, admin, room, cleo.ID)
		wantFault(t, "remove by an administrator who is not in", err, "no_such_room")
		wantOutbox(t, s, roomStream(room), 4, "4.0 event members-changed", "4.1 user room-added")

		_, members, err = s.removeMember(ctx, anna, room, cleo.ID)
		if err != nil || len(members) != 2 {
			t.Fatalf("removeMember = %+v, %v", members, err)
		}
		wantOutbox(t, s, roomStream(room), 5, "5.0 moved members-changed", "5.1 user room-removed", "5.2 terminate")
		_, _, err = s.removeMember(ctx, anna, room, cleo.ID)
		wantFault(t, "remove again", err, "")
		if role, err := s.reading(ctx).role(room, cleo.ID); role != "" || err != nil {
			t.Errorf("role of who was removed = %q, %v", role, err)
		}
		_, _, err = s.post(ctx, cleo, room, "c9", "still here")
		wantFault(t, "post by who was removed", err, "no_such_room")
		_, err = s.page(ctx, cleo, room, 0, 10)
		wantFault(t, "page for who was removed", err, "no_such_room")
		ch, err := s.changes(ctx, anna, room, 4, 10)
		if err != nil || len(ch.Members) != 1 || ch.Members[0].Active || ch.Members[0].User != cleo.User || ch.Rev != 5 {
			t.Errorf("changes after 4 = %+v, %v; want cleo inactive", ch, err)
		}

		wantFault(t, "the owner leaves", s.leave(ctx, anna, room), "")
		wantOutbox(t, s, roomStream(room), 6, "6.0 moved members-changed", "6.1 user room-removed", "6.2 terminate")
		if _, members, err = s.room(ctx, ben, room); err != nil || len(members) != 1 || members[0].Role != RoleOwner || members[0].Rev != 6 {
			t.Errorf("members after the owner left = %+v, %v; want ben as owner", members, err)
		}
		if r, _, err := s.removeMember(ctx, ben, room, ben.ID); err != nil || r.Member {
			t.Errorf("removing oneself = %+v, %v", r, err)
		}
		if _, err := s.createRoom(ctx, anna, KindClosed, "Cellar"); err != nil {
			t.Errorf("a room of a name that nobody sees any more: %v", err)
		}
		wantOneEventEach(t, s, room, 0)
	})
}

func TestJoinAndLeave(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		admin, anna, ben := signUpAs(t, s, "admin"), signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		room := mustRoom(t, s, anna, KindOpen, "garden").ID
		_, _, err := s.post(ctx, ben, room, "c", "x")
		wantFault(t, "post from outside", err, "not_member")
		_, err = s.changes(ctx, ben, room, 0, 10)
		wantFault(t, "changes from outside", err, "not_member")
		wantFault(t, "leave from outside", s.leave(ctx, ben, room), "")
		for range 2 { // the second changes nothing
			r, err := s.join(ctx, ben, room)
			if err != nil || !r.Member || r.Rev != 2 || r.MemberCount != 2 {
				t.Errorf("join = %+v, %v", r, err)
			}
		}
		wantFault(t, "leave", s.leave(ctx, ben, room), "")
		wantOutbox(t, s, roomStream(room), 3, "3.0 event members-changed", "3.1 user room-removed")
		if r, err := s.join(ctx, ben, room); err != nil || r.Rev != 4 || r.MemberCount != 2 {
			t.Errorf("join again = %+v, %v", r, err)
		}
		if _, err := s.join(ctx, admin, room); err != nil {
			t.Errorf("join: %v", err)
		}
		_, members, err := s.removeMember(ctx, admin, room, anna.ID)
		if err != nil || len(members) != 2 || members[0].User != ben.User || members[0].Role != RoleOwner {
			t.Errorf("the administrator removes the owner: %+v, %v; want ben as owner", members, err)
		}
		fillRoom(t, s, room)
		_, err = s.join(ctx, anna, room)
		wantFault(t, "join a full room", err, "room_full")
		_, _, err = s.addMember(ctx, ben, room, anna.ID)
		wantFault(t, "add to a full room", err, "room_full")
		wantOneEventEach(t, s, room, 0)
	})
}

// TestMemberChannels is about whose own channel gets a room's news.
func TestMemberChannels(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, ben, cleo, dora := signUpAs(t, s, "anna"), signUpAs(t, s, "ben"), signUpAs(t, s, "cleo"), signUpAs(t, s, "dora")
		room := mustRoom(t, s, anna, KindClosed, "cellar", ben, cleo, dora).ID
		want := func(doing string, channels ...string) {
			t.Helper()
			slices.Sort(channels)
			if got, err := s.memberChannels(ctx, room, anna.ID); err != nil || !slices.Equal(got, channels) {
				t.Errorf("%s: memberChannels = %v, %v; want %v", doing, got, err, channels)
			}
		}
		want("at first", userChannel(ben.ID, 1), userChannel(cleo.ID, 1), userChannel(dora.ID, 1))
		if _, _, err := s.removeMember(ctx, anna, room, cleo.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.endSessions(ctx, ben); err != nil {
			t.Fatal(err)
		}
		want("after a removal and a sign-out", userChannel(ben.ID, 2), userChannel(dora.ID, 1))
		if err := s.deactivate(ctx, "DORA"); err != nil {
			t.Fatal(err)
		}
		want("after a deactivation", userChannel(ben.ID, 2))
		if got, err := s.userChannels(ctx, []string{ben.ID, dora.ID, "nobody"}); err != nil || !slices.Equal(got, []string{userChannel(ben.ID, 2)}) {
			t.Errorf("userChannels = %v, %v; want ben's", got, err)
		}
		if err := s.activate(ctx, "dora"); err != nil {
			t.Fatal(err)
		}
		want("after an activation", userChannel(ben.ID, 2), userChannel(dora.ID, 2))
	})
}
