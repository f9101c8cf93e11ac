package chatapp

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// testConfig is that of a chat beside a server on this machine.
func testConfig() Config {
	return Config{Version: "test", Signup: SignupOpen, Transport: TransportPush,
		Pusher: Pusher{AppID: "1", Key: "app-key", Secret: "app-secret", Host: "127.0.0.1", Port: 6001, Scheme: "http"}}
}

// site is a running chat.
type site struct {
	url    string
	server *Server
	store  *Store
}

// newSite serves a chat; nobody tells its outbox.
func newSite(t testing.TB, s *Store, c Config) *site {
	t.Helper()
	server, err := NewServer(c, s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(server)
	t.Cleanup(h.Close)
	return &site{h.URL, server, s}
}

// eachSite runs a test against a chat on either database.
func eachSite(t *testing.T, c Config, test func(t *testing.T, s *site)) {
	eachStore(t, func(t *testing.T, store *Store, _ StoreConfig) { test(t, newSite(t, store, c)) })
}

// visitor is a browser.
type visitor struct {
	t    testing.TB
	site *site
	http *http.Client
	id   string
}

func (s *site) visitor(t testing.TB) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, site: s, http: &http.Client{Jar: jar}}
}

// user is a visitor with an account.
func (s *site) user(t testing.TB, name string) *visitor {
	t.Helper()
	v := s.visitor(t)
	got := v.want("POST", "/api/signup", map[string]string{"name": name, "password": "correct horse"}, 201, "")
	v.id = got.at("me", "id").(string)
	return v
}

// object is an answer's body.
type object map[string]any

// at follows names down.
func (o object) at(names ...string) any {
	var v any = map[string]any(o)
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// send sends a request as it is given.
func (v *visitor) send(method, path, kind, body string, header ...string) (*http.Response, object) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.site.url+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := v.http.Do(req)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	var o object
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(data, &o); err != nil {
			v.t.Fatalf("%s %s: %q is not an object in JSON: %v", method, path, data, err)
		}
	}
	return res, o
}

// want sends JSON (or nothing, with nil) and checks the status and the code.
func (v *visitor) want(method, path string, body any, status int, code string) object {
	v.t.Helper()
	var data []byte
	kind := ""
	if body != nil {
		kind = "application/json"
		var b bytes.Buffer
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			v.t.Fatal(err)
		}
		data = b.Bytes()
	}
	res, o := v.send(method, path, kind, string(data))
	got, _ := o["code"].(string)
	if res.StatusCode != status || got != code {
		v.t.Errorf("%s %s %s: got %d %q, want %d %q", method, path, data, res.StatusCode, o, status, code)
	}
	return o
}

func TestAccounts(t *testing.T) {
	eachSite(t, testConfig(), func(t *testing.T, s *site) {
		if first := s.visitor(t).want("GET", "/api/config", nil, 200, ""); first["firstAccount"] != true {
			t.Errorf("the first one is told %v", first)
		}
		anna := s.user(t, "Anna")
		got := anna.want("GET", "/api/me", nil, 200, "")
		if got.at("me", "admin") != true || got.at("me", "channel") != "presence-user-"+anna.id+"-1" || got["general"] != "general" {
			t.Errorf("GET /api/me = %v", got)
		}
		if c := anna.want("GET", "/api/config", nil, 200, ""); c["firstAccount"] != false || c["host"] != nil || c["port"] != 6001. {
			t.Errorf("GET /api/config = %v", c)
		}
		tab := s.visitor(t)
		tab.want("POST", "/api/signin", map[string]string{"name": "anna", "password": "wrong horse"}, 401, "wrong_password")
		tab.want("POST", "/api/signin", map[string]string{"name": "nobody", "password": "wrong horse"}, 401, "wrong_password")
		tab.want("GET", "/api/me", nil, 401, "not_signed_in")
		tab.want("POST", "/api/signin", map[string]string{"name": "anna", "password": "correct horse"}, 200, "")
		tab.want("GET", "/api/me", nil, 200, "")
		anna.want("POST", "/api/password", map[string]string{"old": "nonsense", "new": "battery staple"}, 401, "wrong_password")
		anna.want("POST", "/api/password", map[string]string{"old": "correct horse", "new": "short"}, 400, "bad_password")
		anna.want("POST", "/api/password", map[string]string{"old": "correct horse", "new": "battery staple"}, 200, "")
		anna.want("GET", "/api/me", nil, 200, "")
		tab.want("GET", "/api/me", nil, 401, "not_signed_in")
		tab.want("POST", "/api/signin", map[string]string{"name": "anna", "password": "battery staple"}, 200, "")
		tab.want("POST", "/api/signout", nil, 200, "")
		tab.want("GET", "/api/me", nil, 401, "not_signed_in")
		anna.want("POST", "/api/signout-everywhere", map[string]string{}, 200, "")
		anna.want("GET", "/api/me", nil, 401, "not_signed_in")
		if err := ResetPassword(t.Context(), s.store, "ANNA", "third password"); err != nil {
			t.Fatal(err)
		}
		tab.want("POST", "/api/signin", map[string]string{"name": "anna", "password": "third password"}, 200, "")
	})
}

// TestOtherAccountInTheSameBrowser has one tab sign in as somebody else: the other
// tab, which says who it believes to be, does nothing in the wrong name.
func TestOtherAccountInTheSameBrowser(t *testing.T) {
	eachSite(t, testConfig(), func(t *testing.T, s *site) {
		anna, ben := s.user(t, "anna"), s.user(t, "ben")
		const js, form = "application/json", "application/x-www-form-urlencoded"
		for _, test := range []struct{ method, path, kind, body string }{
			{"POST", "/api/rooms/general/messages", js, `{"clientId":"x","text":"x"}`},
			{"GET", "/api/me", "", ""},
			{"POST", "/api/signout", "", ""},
			{"POST", "/api/pusher/auth", form, "socket_id=1.2&channel_name=" + roomChannel(generalRoom, 1)},
			{"POST", "/api/pusher/user-auth", form, "socket_id=1.2"},
		} {
			res, o := ben.send(test.method, test.path, test.kind, test.body, userHeader, anna.id)
			if res.StatusCode != 409 || o["code"] != "other_user" {
				t.Errorf("%s %s as anna with ben's cookie: %d %v, want 409 other_user", test.method, test.path, res.StatusCode, o)
			}
		}
		if got := ben.want("GET", "/api/rooms/general/messages", nil, 200, "")["messages"].([]any); len(got) != 0 {
			t.Errorf("stored in ben's name: %v", got)
		}
		res, o := ben.send("POST", "/api/rooms/general/messages", js, `{"clientId":"x","text":"x"}`, userHeader, ben.id)
		if res.StatusCode != 201 {
			t.Errorf("as ben: %d %v", res.StatusCode, o)
		}
	})
}

func TestDeactivatedAccount(t *testing.T) {
	eachSite(t, testConfig(), func(t *testing.T, s *site) {
		anna, ben := s.user(t, "anna"), s.user(t, "Ben")
		wantFault(t, "deactivate nobody", Deactivate(t.Context(), s.store, "nobody"), "no_such_user")
		for range 2 { // again changes nothing
			wantFault(t, "deactivate", Deactivate(t.Context(), s.store, "ben"), "")
		}
		ben.want("GET", "/api/me", nil, 401, "not_signed_in")
		ben.want("POST", "/api/signin", map[string]string{"name": "ben", "password": "wrong horse"}, 401, "wrong_password")
		ben.want("POST", "/api/signin", map[string]string{"name": "ben", "password": "correct horse"}, 403, "deactivated")
		ben.want("POST", "/api/signup", map[string]string{"name": "ben", "password": "correct horse"}, 409, "name_taken")
		if users := anna.want("GET", "/api/users?query=b", nil, 200, "")["users"].([]any); len(users) != 0 {
			t.Errorf("users = %v, want nobody", users)
		}
		wantFault(t, "activate", Activate(t.Context(), s.store, "ben"), "")
		ben.want("POST", "/api/signin", map[string]string{"name": "ben", "password": "correct horse"}, 200, "")
	})
}

func TestInvitesAreNeeded(t *testing.T) {
	c := testConfig()
	c.Signup = SignupInvite
	eachSite(t, c, func(t *testing.T, s *site) {
		anna := s.user(t, "anna") // the first one needs none
		account := map[string]string{"name": "ben", "password": "correct horse"}
		s.visitor(t).want("POST", "/api/signup", account, 403, "invite_needed")
		account["invite"] = "made up"
		s.visitor(t).want("POST", "/api/signup", account, 403, "invite_invalid")
		made := anna.want("POST", "/api/invites", map[string]int{}, 201, "")
		token, _ := made["token"].(string)
		if made["path"] != "/#invite="+token || made.at("invite", "usesLeft") != 1. {
			t.Errorf("POST /api/invites = %v", made)
		}
		account["invite"] = token
		ben := s.visitor(t)
		ben.want("POST", "/api/signup", account, 201, "")
		account["name"] = "cora"
		s.visitor(t).want("POST", "/api/signup", account, 403, "invite_invalid")
		ben.want("POST", "/api/invites", map[string]int{}, 403, "not_allowed")
		ben.want("GET", "/api/invites", nil, 403, "not_allowed")
		anna.want("POST", "/api/invites", map[string]int{"uses": 0}, 400, "bad_parameter")
		anna.want("POST", "/api/invites", map[string]int{"days": 91}, 400, "bad_parameter")
		second := anna.want("POST", "/api/invites", map[string]int{"uses": 5}, 201, "").at("invite", "id").(string)
		anna.want("DELETE", "/api/invites/"+second, nil, 200, "")
		anna.want("DELETE", "/api/invites/"+second, nil, 404, "no_such_invite")
	})
}

func TestRoomsAndMessages(t *testing.T) {
	eachSite(t, testConfig(), func(t *testing.T, s *site) {
		anna, ben, cora := s.user(t, "anna"), s.user(t, "ben"), s.user(t, "cora")
		closed := anna.want("POST", "/api/rooms", map[string]string{"kind": "closed", "name": "board"}, 201, "").at("room", "id").(string)
		room := "/api/rooms/" + closed
		anna.want("POST", "/api/rooms", map[string]string{"kind": "open", "name": "Board"}, 409, "room_name_taken")
		anna.want("POST", room+"/members", map[string]string{"addName": "BEN"}, 200, "")
		anna.want("POST", room+"/members", map[string]string{"addName": "zoe"}, 404, "no_such_user")
		anna.want("POST", room+"/members", map[string]string{}, 400, "bad_parameter")
		ben.want("POST", room+"/members", map[string]string{"remove": anna.id}, 403, "not_allowed")
		for _, path := range []string{room, room + "/messages", room + "/changes?after=0", "/api/rooms/nosuch", "/api/rooms/no%00such"} {
			cora.want("GET", path, nil, 404, "no_such_room")
		}
		cora.want("POST", room+"/members", map[string]string{"addName": "zoe"}, 404, "no_such_room")
		cora.want("POST", room+"/messages", map[string]string{"clientId": "c", "text": "hello"}, 404, "no_such_room")

		posted := ben.want("POST", room+"/messages", map[string]string{"clientId": "c1", "text": " <script>alert(1)</script> "}, 201, "")
		if got := posted.at("message", "text"); got != "<script>alert(1)</script>" {
			t.Errorf("the text is %q: it should be kept as it was typed, but for spaces around it", got)
		}
		again := ben.want("POST", room+"/messages", map[string]string{"clientId": "c1", "text": "other"}, 200, "")
		if again.at("message", "id") != posted.at("message", "id") {
			t.Errorf("a retry gave another message: %v, want %v", again, posted)
		}
		anna.want("POST", room+"/messages", map[string]string{"clientId": "c1", "text": "mine"}, 409, "client_id_taken")
		message := room + "/messages/" + posted.at("message", "id").(string)
		anna.want("PATCH", message, map[string]string{"text": "changed"}, 403, "not_author")
		ben.want("PATCH", message, map[string]string{"text": "changed"}, 200, "")
		ben.want("PATCH", room+"/messages/nosuch", map[string]string{"text": "changed"}, 404, "no_such_message")
		if got := anna.want("GET", "/api/rooms", nil, 200, "")["rooms"].([]any)[0].(map[string]any)["unread"]; got != 1. {
			t.Errorf("unread = %v, want 1", got)
		}
		read := anna.want("POST", room+"/read", map[string]any{"seq": posted.at("message", "seq")}, 200, "")
		if read["unread"] != 0. || read["readSeq"] != posted.at("message", "seq") {
			t.Errorf("POST read = %v", read)
		}
		anna.want("POST", room+"/read", map[string]any{"seq": -1}, 400, "bad_parameter")
		anna.want("POST", room+"/read", map[string]any{}, 400, "bad_parameter")
		anna.want("DELETE", message, nil, 200, "")
		ben.want("PATCH", message, map[string]string{"text": "back"}, 409, "message_deleted")
		changes := ben.want("GET", room+"/changes?after=1", nil, 200, "")
		if all := changes["messages"].([]any); len(all) != 1 || all[0].(map[string]any)["deleted"] != true {
			t.Errorf("changes = %v, want one deleted message", changes)
		}
		for _, query := range []string{"before=0", "before=x", "limit=0", "limit=201", "limit="} {
			ben.want("GET", room+"/messages?"+query, nil, 400, "bad_parameter")
		}
		ben.want("GET", room+"/changes?after=-1", nil, 400, "bad_parameter")

		direct := anna.want("POST", "/api/direct", map[string]string{"name": "cora"}, 201, "").at("room", "id").(string)
		cora.want("POST", "/api/direct", map[string]string{"userId": anna.id}, 200, "")
		cora.want("POST", "/api/rooms/"+direct+"/leave", nil, 409, "direct_room")
		anna.want("POST", "/api/direct", map[string]string{"userId": anna.id}, 400, "bad_parameter")
		anna.want("POST", "/api/direct", map[string]string{}, 400, "bad_parameter")
		anna.want("POST", room+"/members", map[string]string{"remove": ben.id}, 200, "")
		ben.want("GET", room, nil, 404, "no_such_room")
		anna.want("POST", room+"/leave", nil, 200, "")
		open := anna.want("POST", "/api/rooms", map[string]string{"kind": "open", "name": "garden"}, 201, "").at("room", "id").(string)
		ben.want("POST", "/api/rooms/"+open+"/messages", map[string]string{"clientId": "c", "text": "x"}, 403, "not_member")
		ben.want("POST", "/api/rooms/"+open+"/join", nil, 200, "")
		ben.want("POST", "/api/rooms/"+open+"/messages", map[string]string{"clientId": "c", "text": "x"}, 201, "")
		if users := anna.want("GET", "/api/users?query=B", nil, 200, "")["users"].([]any); len(users) != 1 {
			t.Errorf("users = %v, want ben", users)
		}
	})
}

// TestBadRequests sends what a client should not; nothing of it may be stored.
func TestBadRequests(t *testing.T) {
	const js, form = "application/json", "application/x-www-form-urlencoded"
	const messages = "/api/rooms/general/messages"
	for name, test := range map[string]struct {
		method, path, kind, body string
		header                   []string
		status                   int
		code                     string
	}{
		"no JSON":            {"POST", messages, js, `{`, nil, 400, "bad_json"},
		"a list":             {"POST", messages, js, `[]`, nil, 400, "bad_json"},
		"null":               {"POST", messages, js, `null`, nil, 400, "bad_json"},
		"two objects":        {"POST", messages, js, `{}{}`, nil, 400, "bad_json"},
		"a number as text":   {"POST", messages, js, `{"clientId":"x","text":1}`, nil, 400, "bad_json"},
		"empty body":         {"POST", messages, js, ``, nil, 400, "bad_json"},
		"no type":            {"POST", messages, "", `{}`, nil, 415, "not_json"},
		"a form":             {"POST", messages, form, `text=x`, nil, 415, "not_json"},
		"text/plain":         {"POST", messages, "text/plain", `{"clientId":"x","text":"x"}`, nil, 415, "not_json"},
		"nothing, as a form": {"POST", "/api/signout", form, `a=b`, nil, 415, "not_json"},
		"too large":          {"POST", messages, js, `{"text":"` + strings.Repeat("x", maxBody) + `"}`, nil, 413, "too_large"},
		"bad UTF-8":          {"POST", messages, js, "{\"clientId\":\"x\",\"text\":\"\xff\"}", nil, 400, "invalid_utf8"},
		"U+0000":             {"POST", messages, js, `{"clientId":"x","text":"a\u0000b"}`, nil, 400, "text_has_nul"},
		"empty text":         {"POST", messages, js, `{"clientId":"x","text":" \n "}`, nil, 400, "text_empty"},
		"long text":          {"POST", messages, js, `{"clientId":"x","text":"` + strings.Repeat("é", MaxMessage+1) + `"}`, nil, 400, "text_too_long"},
		"bad clientId":       {"POST", messages, js, `{"clientId":"<b>","text":"x"}`, nil, 400, "bad_client_id"},
		"bad room kind":      {"POST", "/api/rooms", js, `{"kind":"direct","name":"x"}`, nil, 400, "bad_room_kind"},
		"bad room name":      {"POST", "/api/rooms", js, `{"kind":"open","name":"a\u0007b"}`, nil, 400, "bad_name"},
		"bad name":           {"POST", "/api/signup", js, `{"name":" ","password":"correct horse"}`, nil, 400, "bad_name"},
		"bad password":       {"POST", "/api/signup", js, `{"name":"x","password":"short"}`, nil, 400, "bad_password"},
		"taken name":         {"POST", "/api/signup", js, `{"name":"ANNA","password":"correct horse"}`, nil, 409, "name_taken"},
		"wrong method":       {"PUT", messages, js, `{}`, nil, 405, "method_not_allowed"},
		"wrong page method":  {"POST", "/somewhere", js, `{}`, nil, 405, "method_not_allowed"},
		"no such path":       {"GET", "/api/nothing", "", ``, nil, 404, "not_found"},
		"no such asset":      {"GET", "/assets/old.js", "", ``, nil, 404, "not_found"},
		"another site":       {"POST", messages, js, `{"clientId":"x","text":"x"}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, "cross_origin"},
		"another origin":     {"POST", messages, js, `{"clientId":"x","text":"x"}`, []string{"Origin", "https://evil.example"}, 403, "cross_origin"},
		"another session":    {"POST", messages, js, `{"clientId":"x","text":"x"}`, []string{"Cookie", "chat_session=made-up"}, 401, "not_signed_in"},
		"session of bytes":   {"GET", "/api/me", "", ``, []string{"Cookie", "chat_session=a%00b"}, 401, "not_signed_in"},
		"auth: JSON":         {"POST", "/api/pusher/auth", js, `{}`, nil, 400, "bad_form"},
		"auth: no channel":   {"POST", "/api/pusher/auth", form, `socket_id=1.2`, nil, 400, "bad_form"},
		"auth: two channels": {"POST", "/api/pusher/auth", form, `socket_id=1.2&channel_name=a&channel_name=b`, nil, 400, "bad_form"},
		"auth: bad escape":   {"POST", "/api/pusher/auth", form, `socket_id=%zz`, nil, 400, "bad_form"},
		"user: no socket":    {"POST", "/api/pusher/user-auth", form, ``, nil, 400, "bad_socket_id"},
		"user: forged":       {"POST", "/api/pusher/user-auth", form, `socket_id=1.2:presence-x`, nil, 400, "bad_socket_id"},
		"user: line's end":   {"POST", "/api/pusher/user-auth", form, `socket_id=1.2%0A`, nil, 400, "bad_socket_id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, openStore(t, StoreConfig{Dir: t.TempDir()}), testConfig())
			anna := s.user(t, "anna")
			if strings.Contains(name, "session") {
				anna.http.Jar = nil
			}
			before := revOf(t, s.store, Account{User: User{ID: anna.id}}, generalRoom)
			res, body := anna.send(test.method, test.path, test.kind, test.body, test.header...)
			if res.StatusCode != test.status || body["code"] != test.code || body["error"] == "" {
				t.Errorf("got %d %v, want %d %q", res.StatusCode, body, test.status, test.code)
			}
			if after := revOf(t, s.store, Account{User: User{ID: anna.id}}, generalRoom); after != before {
				t.Errorf("the room's revision went from %d to %d: something was stored", before, after)
			}
		})
	}
}

func TestPusherAuth(t *testing.T) {
	eachSite(t, testConfig(), func(t *testing.T, s *site) {
		anna, ben := s.user(t, "anna"), s.user(t, "ben")
		closed := anna.want("POST", "/api/rooms", map[string]string{"kind": "closed", "name": "board"}, 201, "").at("room", "id").(string)
		auth := func(v *visitor, channel string) (int, object) {
			res, o := v.send("POST", "/api/pusher/auth", "application/x-www-form-urlencoded",
				url.Values{"socket_id": {"123.456"}, "channel_name": {channel}}.Encode())
			return res.StatusCode, o
		}
		for _, channel := range []string{roomChannel(closed, 1), roomChannel(generalRoom, 1), userChannel(anna.id, 1)} {
			status, o := auth(anna, channel)
			if _, told := o["channel_data"]; status != 200 || told || !strings.HasPrefix(o["auth"].(string), "app-key:") {
				t.Errorf("%s: got %d %v, want a signature without channel_data", channel, status, o)
			}
		}
		refused := []string{roomChannel(closed, 1), roomChannel("nosuch", 1), roomChannel("", 1), roomChannel("a\x00b", 1), userChannel(anna.id, 1),
			"presence-chat-room-general", "presence-chat-room-general-", "presence-chat-room-general-x", "private-chat-room-general-1",
			"private-user-" + ben.id, "presence-other", "private-encrypted-x", "public", "", "#server-to-user-" + anna.id}
		for _, channel := range refused {
			if status, o := auth(ben, channel); status != 403 || o["code"] != "forbidden" || o["error"] != errForbidden.Text {
				t.Errorf("ben, %q: got %d %v, want the one refusal", channel, status, o)
			}
		}
		if status, o := auth(s.visitor(t), roomChannel(generalRoom, 1)); status != 403 || o["code"] != "forbidden" {
			t.Errorf("without a session: got %d %v", status, o)
		}
		res, o := ben.send("POST", "/api/pusher/user-auth", "application/x-www-form-urlencoded", "socket_id=1.2")
		want := `{"id":"` + ben.id + `","user_info":{"name":"ben"}}`
		if res.StatusCode != 200 || o["user_data"] != want {
			t.Errorf("user-auth = %d %v, want %s", res.StatusCode, o, want)
		}
		res, o = s.visitor(t).send("POST", "/api/pusher/user-auth", "application/x-www-form-urlencoded", "socket_id=1.2")
		if res.StatusCode != 403 || o["code"] != "forbidden" {
			t.Errorf("user-auth without a session: got %d %v", res.StatusCode, o)
		}
	})
}

func TestRequestsWithoutDatabase(t *testing.T) {
	t.Parallel()
	store, err := OpenStore(t.Context(), StoreConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, store, testConfig())
	anna := s.user(t, "anna")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/me", "/api/config", "/healthz"} {
		anna.want("GET", path, nil, 503, "store_unavailable")
	}
	anna.want("POST", "/api/rooms/general/messages", map[string]string{"clientId": "x", "text": "x"}, 503, "store_unavailable")
	res, o := anna.send("POST", "/api/pusher/auth", "application/x-www-form-urlencoded", "socket_id=1.2&channel_name="+roomChannel(generalRoom, 1))
	if res.StatusCode != 503 || o["code"] != "store_unavailable" || res.Header.Get("Retry-After") == "" {
		t.Errorf("auth: got %d %v, Retry-After %q", res.StatusCode, o, res.Header.Get("Retry-After"))
	}
}

func TestThrottledSignIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, openStore(t, StoreConfig{Dir: t.TempDir()}), testConfig())
	s.server.names = newThrottle(burstOfName, time.Hour) // hashes are slow: none comes back meanwhile
	s.user(t, "anna")
	v := s.visitor(t)
	for range burstOfName {
		v.want("POST", "/api/signin", map[string]string{"name": "anna", "password": "wrong horse"}, 401, "wrong_password")
	}
	v.want("POST", "/api/signin", map[string]string{"name": "ANNA", "password": "correct horse"}, 429, "too_many_attempts")
	res, _ := v.send("POST", "/api/signin", "application/json", `{"name":"anna","password":"x"}`)
	if res.Header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After = %q, want 5", res.Header.Get("Retry-After"))
	}
	v.want("POST", "/api/signin", map[string]string{"name": "ben", "password": "wrong horse"}, 401, "wrong_password")
}

func TestServedPages(t *testing.T) {
	t.Parallel()
	s := newSite(t, openStore(t, StoreConfig{Dir: t.TempDir()}), testConfig())
	v := s.visitor(t)
	host := strings.TrimPrefix(s.url[:strings.LastIndexByte(s.url, ':')], "http://")
	for _, path := range []string{"/", "/rooms/general"} {
		res, _ := v.send("GET", path, "", "")
		if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") || res.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("GET %s: %d %v", path, res.StatusCode, res.Header)
		}
		if got, want := res.Header.Get("Content-Security-Policy"), "connect-src 'self' ws://"+host+":6001 http://"+host+":6001;"; !strings.Contains(got, want) {
			t.Errorf("GET %s: the policy %q does not contain %q", path, got, want)
		}
	}
}
