package chatapp

import (
	"encoding/json"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// revocation is a way in which somebody loses what they could hear.
type revocation struct {
	sessions bool // their sessions end, too
	do       func(t *testing.T, w *revocationWorld)
}

var revocations = map[string]revocation{
	"removal": {false, func(t *testing.T, w *revocationWorld) {
		w.anna.want("POST", "/api/rooms/"+w.room+"/members", map[string]string{"remove": w.ben.id}, 200, "")
	}},
	"sign-out everywhere": {true, func(t *testing.T, w *revocationWorld) {
		w.ben.twin().want("POST", "/api/signout-everywhere", nil, 200, "") // this one keeps its cookie
	}},
	"expired session": {true, func(t *testing.T, w *revocationWorld) {
		err := w.store.change(t.Context(), "set the clock", func(c *change) error {
			_, err := c.exec("UPDATE sessions SET expires_at = ? WHERE user_id = ?", c.now, w.ben.id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}},
	"deactivation": {true, func(t *testing.T, w *revocationWorld) {
		if err := Deactivate(t.Context(), w.store, "BEN"); err != nil {
			t.Fatal(err)
		}
	}},
}

// revocationWorld is a closed room of three, of whom ben is revoked.
type revocationWorld struct {
	store           *Store
	site            *site
	anna, ben, cora *visitor
	room            string
}

// twin is another browser with the same session.
func (v *visitor) twin() *visitor {
	v.t.Helper()
	twin := v.site.visitor(v.t)
	u, err := url.Parse(v.site.url)
	if err != nil {
		v.t.Fatal(err)
	}
	twin.http.Jar.SetCookies(u, v.http.Jar.Cookies(u))
	return twin
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

// use signs in and subscribes with signatures, whatever the server says. It may have
// closed the connection.
func (s *socket) use(all signatures, user string) {
	s.try("pusher:signin", all.signin)
	s.subscribeWith(all, user)
}

// subscribeWith subscribes to all that the signatures are for.
func (s *socket) subscribeWith(all signatures, user string) {
	s.try("pusher:subscribe", object{"channel": "#server-to-user-" + user})
	for _, o := range all.subscribe {
		s.try("pusher:subscribe", o)
	}
}

func (s *socket) try(event string, data object) {
	if text, err := json.Marshal(object{"event": event, "data": data}); err == nil {
		_ = s.conn.Write(s.t.Context(), websocket.MessageText, text)
	}
}

// keeper is a raw client that has fetched signatures, and has not used them.
type keeper struct {
	*socket
	kept signatures
}

// keeper connects as ben's own client.
func (w *revocationWorld) keeper(r *realtime) keeper {
	s := r.dial(w.ben.t)
	return keeper{s, s.sign(w.ben, w.room, generalRoom)}
}

// testRevocation has clients of ben's that were connected before he is revoked. Two
// seconds later none of them hears anything:
//   - one that listens, and some that sign in at the same moment, are closed;
//   - one that has fetched all signatures before and uses them now is refused the
//     signin, and closed; so is one that fetches a new signature, if it gets one;
//   - one that uses the signatures of the channels alone is refused each of them.
func testRevocation(t *testing.T, r *realtime, store *Store, revoked revocation) {
	w := newRevocationWorld(t, r, store)
	listening := r.dial(t).signIn(w.ben).subscribe(w.ben, w.ben.channel(w.room)).subscribe(w.ben, w.ben.ownChannel())
	late, later, anonymous := w.keeper(r), w.keeper(r), w.keeper(r)
	anonymous.write("pusher:subscribe", object{"channel": "marker"})
	anonymous.next("pusher_internal:subscription_succeeded")
	racing := make([]keeper, 5)
	for i := range racing {
		racing[i] = w.keeper(r)
	}
	member := r.dial(t).signIn(w.cora).subscribe(w.cora, w.cora.channel(w.room))
	old := w.cora.channel(w.room)

	began := time.Now()
	var race sync.WaitGroup
	race.Go(func() {
		for _, k := range racing {
			k.use(k.kept, w.ben.id)
		}
	})
	revoked.do(t, w)
	moved := member.next(eventMembers).object()
	if present := w.cora.channel(w.room); moved["channel"] != present || present == old {
		t.Fatalf("the last event on %s says that the channel is %v, want %s", old, moved["channel"], present)
	}
	w.anna.say(w.room, "secret, at once")
	race.Wait()
	listening.wantEnded("pusher_internal:member_added", "pusher_internal:member_removed")
	for _, k := range racing {
		k.wantEnded("pusher:signin_success", "pusher_internal:subscription_succeeded", "pusher_internal:member_removed")
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the last client was closed after %v, want 2 s at most", took)
	}
	w.wantOldNameRefused(old)

	late.use(late.kept, w.ben.id)
	late.wantEnded()
	w.wantNoNewSignature(r, later, revoked)
	anonymous.subscribeWith(anonymous.kept, w.ben.id)
	waitUntilPublished(t, store)
	member.subscribe(w.cora, w.cora.channel(w.room))
	w.anna.say(w.room, "secret")
	w.cora.want("POST", "/api/rooms/"+w.room+"/read", map[string]int64{"seq": 1 << 40}, 200, "")
	member.wantTexts("secret")
	member.next(eventRead)
	waitUntilPublished(t, store)
	if err := w.site.server.sdk.Trigger("marker", "marker", "now"); err != nil {
		t.Fatal(err)
	}
	anonymous.wantRefusals(1 + len(anonymous.kept.subscribe))
}

func newRevocationWorld(t *testing.T, r *realtime, store *Store) *revocationWorld {
	site, _ := runSite(t, store, r.config())
	w := &revocationWorld{store: store, site: site, anna: site.user(t, "anna"), ben: site.user(t, "ben"), cora: site.user(t, "cora")}
	w.room = w.anna.want("POST", "/api/rooms", map[string]string{"kind": "closed", "name": "board"}, 201, "").at("room", "id").(string)
	for _, v := range []*visitor{w.ben, w.cora} {
		w.anna.want("POST", "/api/rooms/"+w.room+"/members", map[string]string{"add": v.id}, 200, "")
	}
	waitUntilPublished(t, store)
	return w
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

// wantNoNewSignature has a client that was connected before ask for another signature.
// Whose sessions have ended gets none. Who was only removed gets one, which is good
// for a new connection, and for no older one.
func (w *revocationWorld) wantNoNewSignature(r *realtime, k keeper, revoked revocation) {
	t := w.ben.t
	t.Helper()
	form := url.Values{"socket_id": {k.id}}.Encode()
	res, o := w.ben.send("POST", "/api/pusher/user-auth", "application/x-www-form-urlencoded", form)
	if revoked.sessions {
		if res.StatusCode != 403 || o["code"] != "forbidden" {
			t.Errorf("a session that has ended gets %d %v, want the one refusal", res.StatusCode, o)
		}
		o = k.kept.signin
	} else if res.StatusCode != 200 {
		t.Errorf("who was only removed gets %d %v, want a signature", res.StatusCode, o)
	}
	k.write("pusher:signin", o)
	k.wantEnded()
	if !revoked.sessions {
		r.dial(t).signIn(w.ben).subscribe(w.ben, w.ben.ownChannel())
	}
}

// wantEnded reads up to the end of the connection, which has to be the server's 4009.
// Nothing else may come but errors, what the revocation itself says, and these events.
func (s *socket) wantEnded(allowed ...string) {
	s.t.Helper()
	for {
		f, err := s.read()
		if err != nil {
			if got := websocket.CloseStatus(err); got != 4009 {
				s.t.Errorf("the connection ended with %d (%v), want 4009", got, err)
			}
			return
		}
		switch f.Event {
		case "pusher:error", "pusher_internal:subscription_error", eventMembers, eventRoomRemoved, eventOnline:
		default:
			if !slices.Contains(allowed, f.Event) {
				s.t.Errorf("heard %s on %s: %s", f.Event, f.Channel, f.Data)
			}
		}
	}
}

// wantRefusals reads up to the marker. Nothing comes before it but so many refusals.
func (s *socket) wantRefusals(want int) {
	s.t.Helper()
	got := 0
	for {
		f, err := s.read()
		switch {
		case err != nil:
			s.t.Fatalf("waiting for the marker: %v", err)
		case f.Event == "marker":
			if got != want {
				s.t.Errorf("%d subscriptions were refused, want %d", got, want)
			}
			return
		case f.Event == "pusher_internal:subscription_error":
			got++
		case f.Event == "pusher:error": // the same, for those who do not look at the channel
		default:
			s.t.Errorf("heard %s on %s: %s", f.Event, f.Channel, f.Data)
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
