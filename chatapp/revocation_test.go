package chatapp

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// revocations are the ways in which somebody loses what they could hear.
var revocations = map[string]func(t *testing.T, w *revocationWorld){
	"removal": func(t *testing.T, w *revocationWorld) {
		w.anna.want("POST", "/api/rooms/"+w.room+"/members", map[string]string{"remove": w.ben.id}, 200, "")
	},
	"sign-out everywhere": func(t *testing.T, w *revocationWorld) {
		w.ben.want("POST", "/api/signout-everywhere", nil, 200, "")
	},
	"expired session": func(t *testing.T, w *revocationWorld) {
		err := w.store.change(t.Context(), "set the clock", func(c *change) error {
			_, err := c.exec("UPDATE sessions SET expires_at = ? WHERE user_id = ?", c.now, w.ben.id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	},
	"deactivation": func(t *testing.T, w *revocationWorld) {
		if err := Deactivate(t.Context(), w.store, "BEN"); err != nil {
			t.Fatal(err)
		}
	},
}

// revocationWorld is a closed room of three, of whom ben is revoked.
type revocationWorld struct {
	store           *Store
	site            *site
	anna, ben, cora *visitor
	room            string
}

// signatures are answers of the auth endpoints that a raw client keeps for later.
type signatures struct {
	signin    object
	subscribe []object
}

// sign gets all signatures that a visitor can have for this socket.
func (s *socket) sign(v *visitor, rooms ...string) signatures {
	s.t.Helper()
	get := func(path string, form url.Values) object {
		form.Set("socket_id", s.id)
		res, o := v.send("POST", path, "application/x-www-form-urlencoded", form.Encode())
		if res.StatusCode != 200 {
			s.t.Fatalf("%s %v: %d %v", path, form, res.StatusCode, o)
		}
		return o
	}
	all := signatures{signin: get("/api/pusher/user-auth", url.Values{})}
	channels := []string{v.ownChannel()}
	for _, room := range rooms {
		channels = append(channels, v.channel(room))
	}
	for _, channel := range channels {
		o := get("/api/pusher/auth", url.Values{"channel_name": {channel}})
		o["channel"] = channel
		all.subscribe = append(all.subscribe, o)
	}
	return all
}

// use signs in and subscribes with signatures, whatever the server says.
func (s *socket) use(all signatures, user string) {
	s.t.Helper()
	s.write("pusher:signin", all.signin)
	s.write("pusher:subscribe", object{"channel": "#server-to-user-" + user})
	for _, o := range all.subscribe {
		s.write("pusher:subscribe", o)
	}
}

// testRevocation has a client of ben's that listens, and one that has fetched all
// signatures and waits. After the revocation the first is closed within two
// seconds; the second uses its signatures, and hears nothing of what follows,
// whether or not the server takes them.
func testRevocation(t *testing.T, r *realtime, store *Store, revoke func(*testing.T, *revocationWorld)) {
	site, _ := runSite(t, store, r.config())
	w := &revocationWorld{store: store, site: site, anna: site.user(t, "anna"), ben: site.user(t, "ben"), cora: site.user(t, "cora")}
	w.room = w.anna.want("POST", "/api/rooms", map[string]string{"kind": "closed", "name": "board"}, 201, "").at("room", "id").(string)
	for _, v := range []*visitor{w.ben, w.cora} {
		w.anna.want("POST", "/api/rooms/"+w.room+"/members", map[string]string{"add": v.id}, 200, "")
	}
	waitUntilPublished(t, store)
	listening := r.dial(t).signIn(w.ben).subscribe(w.ben, w.ben.channel(w.room)).subscribe(w.ben, w.ben.ownChannel())
	prepared := r.dial(t)
	kept := prepared.sign(w.ben, w.room, generalRoom)
	prepared.write("pusher:subscribe", object{"channel": "marker"})
	prepared.next("pusher_internal:subscription_succeeded")
	member := r.dial(t).signIn(w.cora).subscribe(w.cora, w.cora.channel(w.room))
	old := w.cora.channel(w.room)

	began := time.Now()
	revoke(t, w)
	listening.wantClosed(4009)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the listening client was closed after %v, want 2 s at most", took)
	}
	moved := member.next(eventMembers).object()
	if present := w.cora.channel(w.room); moved["channel"] != present || present == old {
		t.Fatalf("the last event on %s says that the channel is %v, want %s", old, moved["channel"], present)
	}
	w.wantOldNameRefused(old)

	prepared.use(kept, w.ben.id)
	member.subscribe(w.cora, w.cora.channel(w.room))
	w.anna.say(w.room, "secret")
	w.cora.want("POST", "/api/rooms/"+w.room+"/read", map[string]int64{"seq": 1 << 40}, 200, "")
	member.wantTexts("secret")
	member.next(eventRead)
	waitUntilPublished(t, store)
	if err := site.server.sdk.Trigger("marker", "marker", "now"); err != nil {
		t.Fatal(err)
	}
	w.wantNothingHeard(t, prepared)
}

// wantOldNameRefused asks for signatures by the channel's old name.
func (w *revocationWorld) wantOldNameRefused(old string) {
	form := url.Values{"socket_id": {"1.2"}, "channel_name": {old}}.Encode()
	res, o := w.cora.send("POST", "/api/pusher/auth", "application/x-www-form-urlencoded", form)
	if res.StatusCode != 409 || o["code"] != "channel_changed" || o["channel"] != w.cora.channel(w.room) {
		w.cora.t.Errorf("a member who asks for the old name gets %d %v, want 409 and the new name", res.StatusCode, o)
	}
	res, o = w.ben.send("POST", "/api/pusher/auth", "application/x-www-form-urlencoded", form)
	if res.StatusCode != 403 || o["code"] != "forbidden" {
		w.ben.t.Errorf("who was revoked asks for the old name and gets %d %v, want the one refusal", res.StatusCode, o)
	}
}

// wantNothingHeard reads up to the marker. Who was only removed keeps their own
// channel, and hears that they were.
func (w *revocationWorld) wantNothingHeard(t *testing.T, s *socket) {
	t.Helper()
	for {
		f, err := s.read()
		if err != nil {
			if websocket.CloseStatus(err) != -1 {
				return // the server has closed it, which is as well
			}
			t.Fatalf("waiting for the marker: %v", err)
		}
		switch {
		case f.Event == "marker":
			return
		case strings.HasPrefix(f.Event, "pusher"), f.Event == eventRoomRemoved, f.Event == eventOnline:
		default:
			t.Errorf("heard %s on %s: %s", f.Event, f.Channel, f.Data)
		}
	}
}

// TestRevokedSignatures counts what the revocation of one person's sessions
// changes: all of their rooms' channels and their own, and nobody else's.
func TestRevokedSignatures(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		direct, _, err := s.directRoom(ctx, anna, ben.ID)
		if err != nil {
			t.Fatal(err)
		}
		other := mustRoom(t, s, anna, KindOpen, "garden")
		token := map[string]string{}
		for _, a := range []Account{anna, ben} {
			if token[a.ID], err = s.createSession(ctx, a, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		want := func(doing string, general, directly, garden, bens int64) {
			t.Helper()
			for ask, want := range map[string]string{
				roomChannel(generalRoom, 1): roomChannel(generalRoom, general),
				direct.Channel:              roomChannel(direct.ID, directly),
				other.Channel:               roomChannel(other.ID, garden),
				userChannel(anna.ID, 1):     userChannel(anna.ID, 1),
			} {
				if got, err := s.maySubscribe(ctx, token[anna.ID], ask); err != nil || got != want {
					t.Errorf("%s: anna asks for %s and gets %s, %v; want %s", doing, ask, got, err, want)
				}
			}
			if got, err := s.userChannels(ctx, []string{ben.ID}); err != nil || len(got) != 1 || got[0] != userChannel(ben.ID, bens) {
				t.Errorf("%s: ben's own channel is %v, %v; want epoch %d", doing, got, err, bens)
			}
		}
		want("at first", 1, 1, 1, 1)
		if err := s.endSession(ctx, ben, token[ben.ID]); err != nil {
			t.Fatal(err)
		}
		want("ben signed out", 1, 1, 1, 2)
		if err := s.endSessions(ctx, ben); err != nil {
			t.Fatal(err)
		}
		want("ben signed out everywhere", 2, 2, 1, 3)
		if err := s.resetPassword(ctx, "ben", "another hash"); err != nil {
			t.Fatal(err)
		}
		want("ben has a new password", 3, 3, 1, 4)
		if err := s.expireSessions(ctx); err != nil {
			t.Fatal(err)
		}
		want("nothing has expired", 3, 3, 1, 4)
		if err := s.deactivate(ctx, "ben"); err != nil {
			t.Fatal(err)
		}
		for _, channel := range []string{roomChannel(generalRoom, 3), userChannel(ben.ID, 4)} {
			_, err := s.maySubscribe(ctx, token[ben.ID], channel)
			wantFault(t, "ben asks for "+channel, err, "forbidden")
		}
		rows, err := s.waiting(ctx, roomStream(direct.ID), 100)
		if err != nil {
			t.Fatal(err)
		}
		var e membersEvent
		last := rows[len(rows)-1]
		if err := json.Unmarshal([]byte(last.Payload), &e); err != nil || last.Kind != outMoved || last.Target != roomChannel(direct.ID, 3) ||
			e.Channel != roomChannel(direct.ID, 4) || e.Members == nil || len(e.Members) != 0 || e.Rev != last.Rev {
			t.Errorf("the last event of the direct room is %+v, want its new name on the old channel", last)
		}
		wantOneEventEach(t, s, direct.ID, 0)
	})
}
