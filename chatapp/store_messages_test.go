package chatapp

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestPost(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		room := mustRoom(t, s, anna, KindOpen, "garden", ben).ID
		for _, test := range []struct{ name, clientID, text, want string }{
			{"html", "c1", "<script>alert('&')</script>", ""},
			{"longest", "c2", strings.Repeat("😀", MaxMessage), ""},
			{"too long", "c3", strings.Repeat("a", MaxMessage+1), "text_too_long"},
			{"empty", "c3", " \n\u00a0", "text_empty"},
			{"NUL", "c3", "a\x00b", "text_has_nul"},
			{"not UTF-8", "c3", "a\xff", "invalid_utf8"},
			{"no client id", "", "a", "bad_client_id"},
			{"bad client id", "c 3", "a", "bad_client_id"},
			{"long client id", strings.Repeat("c", 65), "a", "bad_client_id"},
		} {
			m, already, err := s.post(ctx, anna, room, test.clientID, test.text)
			wantFault(t, test.name, err, test.want)
			if err == nil && (already || m.Text != test.text || m.Seq != m.Rev || m.User != anna.User || m.ClientID != test.clientID) {
				t.Errorf("%s: stored %+v, already %v", test.name, m, already)
			}
		}
		p, err := s.page(ctx, ben, room, 0, 50)
		if err != nil || len(p.Messages) != 2 || p.Messages[0].Text != "<script>alert('&')</script>" || p.Rev != 4 {
			t.Errorf("page = %d messages at revision %d, %v; want 2 at 4", len(p.Messages), p.Rev, err)
		}
		wantOneEventEach(t, s, room, 0)

		rows, err := s.waiting(ctx, roomStream(room), 10)
		if err != nil {
			t.Fatal(err)
		}
		short, news, long := rows[len(rows)-4], rows[len(rows)-3], rows[len(rows)-2]
		var m Message
		if err := json.Unmarshal([]byte(short.Payload), &m); err != nil || m != p.Messages[0] {
			t.Errorf("the event's payload is %s (%v); want the message", short.Payload, err)
		}
		var n roomNews
		if err := json.Unmarshal([]byte(news.Payload), &n); err != nil || n != (roomNews{room, 3, 3, anna.User, m.CreatedAt, false}) || news.Target != anna.ID {
			t.Errorf("the news are %s (%v) for all but %s; want the message without its text, for all but anna", news.Payload, err, news.Target)
		}
		want := fmt.Sprintf(`{"room":%q,"id":%q,"rev":4,"fetch":true}`, room, p.Messages[1].ID)
		if long.Payload != want {
			t.Errorf("the payload of a long message is %.100s, want %s", long.Payload, want)
		}
	})
}

func TestPostAgain(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		room := mustRoom(t, s, anna, KindOpen, "garden", ben).ID
		first := mustPost(t, s, anna, room, "c1", "hello")
		again, already, err := s.post(ctx, anna, room, "c1", "something else")
		if err != nil || !already || again != first {
			t.Errorf("a retry = %+v, %v, %v; want the stored message", again, already, err)
		}
		_, _, err = s.post(ctx, ben, room, "c1", "hello")
		wantFault(t, "another's client id", err, "client_id_taken")
		edited, err := s.edit(ctx, anna, room, first.ID, "hallo")
		if err != nil {
			t.Fatal(err)
		}
		if again, already, err = s.post(ctx, anna, room, "c1", "hello"); err != nil || !already || again != edited {
			t.Errorf("a late retry = %+v, %v, %v; want the message as it is now", again, already, err)
		}
		mustPost(t, s, ben, generalRoom, "c1", "another room has its own ids")
		wantOneEventEach(t, s, room, 0)
	})
}

func TestEditAndDelete(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		admin, anna, ben := signUpAs(t, s, "admin"), signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		room := mustRoom(t, s, anna, KindClosed, "cellar", ben, admin).ID
		m := mustPost(t, s, ben, room, "c1", "helo")
		elsewhere := mustPost(t, s, ben, generalRoom, "c1", "elsewhere")

		edited, err := s.edit(ctx, ben, room, m.ID, " hello ")
		if err != nil || edited.Text != "hello" || edited.Seq != m.Seq || edited.Rev != m.Rev+1 || edited.EditedAt == 0 {
			t.Fatalf("edit = %+v, %v", edited, err)
		}
		if same, err := s.edit(ctx, ben, room, m.ID, "hello"); err != nil || same != edited {
			t.Errorf("an edit that changes nothing = %+v, %v; want %+v", same, err, edited)
		}
		_, err = s.edit(ctx, anna, room, m.ID, "mine")
		wantFault(t, "edit by another", err, "not_author")
		_, err = s.edit(ctx, ben, room, m.ID, "")
		wantFault(t, "edit to nothing", err, "text_empty")
		for _, id := range []string{elsewhere.ID, newID(), "", "\x00"} {
			_, err = s.edit(ctx, ben, room, id, "x")
			wantFault(t, "edit of "+id, err, "no_such_message")
			_, err = s.deleteMessage(ctx, ben, room, id)
			wantFault(t, "deletion of "+id, err, "no_such_message")
		}

		gone, err := s.deleteMessage(ctx, ben, room, m.ID)
		if err != nil || !gone.Deleted || gone.Text != "" || gone.Rev != edited.Rev+1 || gone.Seq != m.Seq {
			t.Fatalf("deleteMessage = %+v, %v", gone, err)
		}
		if again, err := s.deleteMessage(ctx, ben, room, m.ID); err != nil || again != gone {
			t.Errorf("deleteMessage again = %+v, %v; want %+v", again, err, gone)
		}
		_, err = s.edit(ctx, ben, room, m.ID, "back")
		wantFault(t, "edit of a deleted one", err, "message_deleted")
		wantOutbox(t, s, roomStream(room), m.Rev, "4.0 event new-message", "4.1 news room-news", "5.0 event message-edited",
			"6.0 event message-deleted", "6.1 news room-news")
		rows, err := s.waiting(ctx, roomStream(room), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if want := fmt.Sprintf(`{"room":%q,"id":%q,"rev":%d,"fetch":true}`, room, m.ID, row.Rev); row.Kind == outEvent &&
				(row.Rev == 4 || row.Rev == 5) && row.Payload != want {
				t.Errorf("%d %s waits with %s: the deleted text must not be published any more; want %s", row.Rev, row.Event, row.Payload, want)
			}
		}
		if text, err := one(s.reading(ctx), nil, scanString, "SELECT body FROM messages WHERE id = ?", m.ID); text != "" || err != nil {
			t.Errorf("the deleted text is still %q, %v", text, err)
		}

		owners := mustPost(t, s, anna, room, "c2", "the owner's")
		_, err = s.deleteMessage(ctx, ben, room, owners.ID)
		wantFault(t, "deletion by a member", err, "not_allowed")
		_, err = s.deleteMessage(ctx, admin, room, owners.ID)
		wantFault(t, "deletion by the administrator", err, "")
		bens := mustPost(t, s, ben, room, "c3", "ben's")
		_, err = s.deleteMessage(ctx, anna, room, bens.ID)
		wantFault(t, "deletion by the owner", err, "")
		wantOneEventEach(t, s, room, 0)
	})
}

func TestPages(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna := signUpAs(t, s, "anna")
		room := mustRoom(t, s, anna, KindOpen, "garden").ID
		if p, err := s.page(ctx, anna, room, 0, 3); err != nil || p.Messages == nil || len(p.Messages) != 0 || p.More || p.Rev != 1 {
			t.Fatalf("page of an empty room = %+v, %v", p, err)
		}
		for i := range 7 { // seqs 2 to 8
			mustPost(t, s, anna, room, fmt.Sprint("c", i), fmt.Sprint("m", i))
		}
		for _, test := range []struct {
			before int64
			limit  int
			want   string
		}{
			{0, 3, "m4 m5 m6 more"},
			{6, 3, "m1 m2 m3 more"},
			{3, 3, "m0"},
			{2, 3, ""},
			{0, 7, "m0 m1 m2 m3 m4 m5 m6"},
			{0, 6, "m1 m2 m3 m4 m5 m6 more"},
		} {
			p, err := s.page(ctx, anna, room, test.before, test.limit)
			if got := describe(p.Messages, p.More); err != nil || got != test.want || p.Rev != 8 {
				t.Errorf("page(before %d, limit %d) = %q at %d, %v; want %q at 8", test.before, test.limit, got, p.Rev, err, test.want)
			}
		}
	})
}

func describe(messages []Message, more bool) string {
	words := make([]string, 0, len(messages)+1)
	for _, m := range messages {
		words = append(words, m.Text)
	}
	if more {
		words = append(words, "more")
	}
	return strings.Join(words, " ")
}

func TestChanges(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		room := mustRoom(t, s, anna, KindOpen, "garden").ID // 1
		first := mustPost(t, s, anna, room, "c0", "m0")     // 2
		mustPost(t, s, anna, room, "c1", "m1")              // 3
		if _, err := s.join(ctx, ben, room); err != nil {   // 4
			t.Fatal(err)
		}
		mustPost(t, s, ben, room, "c2", "m2")                                  // 5
		if _, err := s.edit(ctx, anna, room, first.ID, "edited"); err != nil { // 6
			t.Fatal(err)
		}
		if err := storeRead(t, s, anna, room, 5); err != nil { // 7
			t.Fatal(err)
		}
		for _, test := range []struct {
			after, rev int64
			limit      int
			messages   string
			members    int
		}{
			{0, 7, 10, "m1 m2 edited", 2},
			{0, 3, 1, "m1 more", 1},
			{0, 5, 2, "m1 m2 more", 2},
			{3, 5, 1, "m2 more", 1},
			{4, 5, 1, "m2 more", 1}, // who wrote has read; anna's read comes with revision 7
			{5, 7, 10, "edited", 1},
			{6, 7, 10, "", 1},
			{7, 7, 10, "", 0},
			{99, 7, 10, "", 0},
		} {
			ch, err := s.changes(ctx, anna, room, test.after, test.limit)
			if got := describe(ch.Messages, ch.More); err != nil || got != test.messages || ch.Rev != test.rev || len(ch.Members) != test.members {
				t.Errorf("changes(after %d, limit %d) = %q, %d members, to %d, %v; want %q, %d, %d",
					test.after, test.limit, got, len(ch.Members), ch.Rev, err, test.messages, test.members, test.rev)
			}
			if ch.Messages == nil || ch.Members == nil {
				t.Errorf("changes(after %d): a list is null", test.after)
			}
		}
	})
}
