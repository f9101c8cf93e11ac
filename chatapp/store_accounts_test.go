package chatapp

import (
	"strings"
	"testing"
	"time"
)

func TestSignUp(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		if any, err := s.anyAccount(ctx); any || err != nil {
			t.Fatalf("anyAccount of an empty store = %v, %v", any, err)
		}
		anna, token, err := s.signUp(ctx, newAccount{Name: "  Anna ", Hash: "h", Policy: SignupClosed, Session: time.Hour})
		if err != nil || !anna.Admin || anna.Name != "Anna" {
			t.Fatalf("the first sign-up = %+v, %v; want the administrator Anna, whatever the policy", anna, err)
		}
		if any, err := s.anyAccount(ctx); !any || err != nil {
			t.Fatalf("anyAccount afterwards = %v, %v", any, err)
		}
		if got, err := s.accountBySession(ctx, token); err != nil || got != anna {
			t.Errorf("accountBySession = %v, %v; want %v", got, err, anna)
		}
		if role, err := s.reading(ctx).role(generalRoom, anna.ID); role == "" || err != nil {
			t.Errorf("role in general = %q, %v", role, err)
		}
		for _, test := range []struct{ name, policy, invite, user, want string }{
			{"open", SignupOpen, "", "Ben", ""},
			{"taken", SignupOpen, "", "Anna", "name_taken"},
			{"taken in another case", SignupOpen, "", "aNNA", "name_taken"},
			{"closed", SignupClosed, "", "Cleo", "signup_closed"},
			{"without an invite", SignupInvite, "", "Cleo", "invite_needed"},
			{"with a wrong invite", SignupInvite, "x", "Cleo", "invite_invalid"},
			{"no name", SignupOpen, "", " ", "bad_name"},
			{"long name", SignupOpen, "", strings.Repeat("é", MaxName+1), "bad_name"},
			{"longest name", SignupOpen, "", strings.Repeat("é", MaxName), ""},
			{"NUL in the name", SignupOpen, "", "a\x00b", "bad_name"},
			{"broken name", SignupOpen, "", "\xff", "invalid_utf8"},
		} {
			n := newAccount{Name: test.user, Hash: "h", Policy: test.policy, Invite: test.invite, Session: time.Hour}
			wantFault(t, test.name+", beforehand", s.checkSignUp(ctx, n), test.want)
			a, _, err := s.signUp(ctx, n)
			wantFault(t, test.name, err, test.want)
			if err == nil && a.Admin {
				t.Errorf("%s: made another administrator", test.name)
			}
		}
		wantOneEventEach(t, s, generalRoom, 0)
		if r, members, err := s.room(ctx, anna, generalRoom); err != nil || r.MemberCount != 3 || len(members) != 3 || r.Rev != 3 {
			t.Errorf("general = %+v with %d members, %v; want 3 members at revision 3", r, len(members), err)
		}
	})
}

func TestSignUpWhenGeneralIsFull(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		anna := signUpAs(t, s, "anna")
		fillRoom(t, s, generalRoom)
		ben := signUpAs(t, s, "ben")
		if role, err := s.reading(t.Context()).role(generalRoom, ben.ID); role != "" || err != nil {
			t.Errorf("role = %q, %v; want an account outside of the full room", role, err)
		}
		_, err := s.join(t.Context(), ben, generalRoom)
		wantFault(t, "join", err, "room_full")
		if rev := revOf(t, s, anna, generalRoom); rev != 1 {
			t.Errorf("revision %d, want 1: nothing has changed", rev)
		}
	})
}

// fillRoom makes a room believe that it has all the members it may have.
func fillRoom(t testing.TB, s *Store, room string) {
	t.Helper()
	err := s.change(t.Context(), "fill", func(c *change) error {
		_, err := c.exec("UPDATE rooms SET member_count = ? WHERE id = ?", MaxMembers, room)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestInvites(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		_, _, err := s.createInvite(ctx, ben, 1, time.Hour)
		wantFault(t, "an invite by ben", err, "not_allowed")
		_, err = s.invites(ctx, ben)
		wantFault(t, "the list for ben", err, "not_allowed")

		made, token, err := s.createInvite(ctx, anna, 2, time.Hour)
		if err != nil || made.UsesLeft != 2 || made.ExpiresAt-made.CreatedAt != time.Hour.Microseconds() {
			t.Fatalf("createInvite = %+v, %v", made, err)
		}
		over, oldToken, err := s.createInvite(ctx, anna, 2, -time.Second)
		if err != nil {
			t.Fatal(err)
		}
		use := func(name, token string) error {
			_, _, err := s.signUp(ctx, newAccount{Name: name, Hash: "h", Policy: SignupInvite, Invite: token, Session: time.Hour})
			return err
		}
		wantFault(t, "one that is over", use("x", oldToken), "invite_invalid")
		wantFault(t, "first use", use("cleo", token), "")
		wantFault(t, "a name that is taken", use("CLEO", token), "name_taken")
		if all, err := s.invites(ctx, anna); err != nil || len(all) != 1 || all[0].ID != made.ID || all[0].UsesLeft != 1 {
			t.Errorf("invites = %+v, %v; want %s with 1 use left: a refused sign-up uses none", all, err, made.ID)
		}
		wantFault(t, "second use", use("dora", token), "")
		wantFault(t, "third use", use("emil", token), "invite_invalid")
		if all, err := s.invites(ctx, anna); err != nil || all == nil || len(all) != 0 {
			t.Errorf("invites = %#v, %v; want an empty list", all, err)
		}
		wantFault(t, "delete by ben", s.deleteInvite(ctx, ben, made.ID), "not_allowed")
		wantFault(t, "delete", s.deleteInvite(ctx, anna, made.ID), "")
		wantFault(t, "delete again", s.deleteInvite(ctx, anna, made.ID), "no_such_invite")
		wantFault(t, "delete with a bad id", s.deleteInvite(ctx, anna, "a\x00"), "no_such_invite")
		if err := s.purgeInvites(ctx); err != nil {
			t.Fatalf("purgeInvites: %v", err)
		}
		wantFault(t, "delete a purged one", s.deleteInvite(ctx, anna, over.ID), "no_such_invite")
	})
}

func TestSessions(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna := signUpAs(t, s, "anna")
		begin := func(lasts time.Duration) string {
			t.Helper()
			token, err := s.createSession(ctx, anna, lasts)
			if err != nil {
				t.Fatalf("createSession: %v", err)
			}
			return token
		}
		signedIn := func(doing, token, code string) {
			t.Helper()
			_, err := s.accountBySession(ctx, token)
			wantFault(t, doing, err, code)
		}
		first, second, over := begin(time.Hour), begin(time.Hour), begin(-time.Second)
		signedIn("first", first, "")
		signedIn("over", over, "not_signed_in")
		signedIn("forged", "abc\x00\xff", "not_signed_in")
		wantOutbox(t, s, userStream(anna.ID), 0)

		ben := signUpAs(t, s, "ben")
		wantFault(t, "end another's session", s.endSession(ctx, ben, first), "")
		signedIn("first, ended by another", first, "")
		wantFault(t, "end a session", s.endSession(ctx, anna, first), "")
		wantFault(t, "end it again", s.endSession(ctx, anna, first), "")
		signedIn("ended", first, "not_signed_in")
		signedIn("second", second, "")
		wantOutbox(t, s, userStream(anna.ID), 0, "1.0 terminate")
		wantOutbox(t, s, userStream(ben.ID), 0)
		wantFault(t, "end all", s.endSessions(ctx, anna), "")
		signedIn("second, ended", second, "not_signed_in")
		wantOutbox(t, s, userStream(anna.ID), 0, "1.0 terminate", "2.0 terminate")

		begin(-time.Second)
		last := begin(time.Hour)
		for range 2 { // the second time there is nothing to do
			if err := s.expireSessions(ctx); err != nil {
				t.Fatalf("expireSessions: %v", err)
			}
		}
		wantOutbox(t, s, userStream(anna.ID), 3, "3.0 terminate")
		if n, err := one(s.reading(ctx), nil, scanInt, "SELECT COUNT(*) FROM sessions WHERE user_id = ?", anna.ID); n != 1 || err != nil {
			t.Errorf("%d sessions after the expiry, %v; want 1", n, err)
		}
		signedIn("after the expiry", last, "")
	})
}

func TestPasswords(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		ctx := t.Context()
		anna, kept, err := s.signUp(ctx, newAccount{Name: "anna", Hash: "old", Policy: SignupOpen, Session: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		other, err := s.createSession(ctx, anna, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		wantFault(t, "change", s.changePassword(ctx, anna, "new", kept), "")
		_, err = s.accountBySession(ctx, other)
		wantFault(t, "the other session", err, "not_signed_in")
		now, err := s.accountBySession(ctx, kept)
		if err != nil || now.password != "new" {
			t.Errorf("the kept session = %v with %q, %v", now, now.password, err)
		}
		wantOutbox(t, s, userStream(anna.ID), 0, "1.0 terminate")
		wantFault(t, "change from an old password", s.changePassword(ctx, anna, "newer", kept), "wrong_password")
		_, err = s.createSession(ctx, anna, time.Hour)
		wantFault(t, "sign in with an old password", err, "wrong_password")

		wantFault(t, "reset nobody's", s.resetPassword(ctx, "nobody", "x"), "no_such_user")
		wantFault(t, "reset", s.resetPassword(ctx, "ANNA", "reset"), "")
		_, err = s.accountBySession(ctx, kept)
		wantFault(t, "the kept session after the reset", err, "not_signed_in")
		if a, err := s.accountByName(ctx, " Anna "); err != nil || a.password != "reset" {
			t.Errorf("accountByName = %v with %q, %v", a, a.password, err)
		}
	})
}

func TestUsersByPrefix(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ StoreConfig) {
		me := signUpAs(t, s, "Anna")
		for _, name := range []string{"Änne", "anton", "Andreas", "100%", "a_b", "Straße"} {
			signUpAs(t, s, name)
		}
		for _, test := range []struct{ prefix, want string }{
			{"an", "Andreas,anton"},
			{" AN ", "Andreas,anton"},
			{"ä", "Änne"},
			{"strasse", "Straße"},
			{"%", ""},
			{"100%", "100%"},
			{"a_", "a_b"},
			{"\x00", ""},
			{"\xff", ""},
			{"", "100%,a_b,Andreas,anton,Straße,Änne"},
		} {
			got, err := s.usersByPrefix(t.Context(), me, test.prefix)
			if err != nil || got == nil {
				t.Errorf("usersByPrefix(%q) = %v, %v", test.prefix, got, err)
			}
			var names []string
			for _, u := range got {
				names = append(names, u.Name)
			}
			if joined := strings.Join(names, ","); joined != test.want {
				t.Errorf("usersByPrefix(%q) = %s, want %s", test.prefix, joined, test.want)
			}
		}
		for i := range 25 {
			signUpAs(t, s, "many"+string(rune('a'+i)))
		}
		if got, err := s.usersByPrefix(t.Context(), me, "many"); err != nil || len(got) != 20 {
			t.Errorf("usersByPrefix(many) gives %d, %v; want 20", len(got), err)
		}
		if _, err := s.accountByName(t.Context(), "a\x00"); err != errNoUser {
			t.Errorf("accountByName with NUL: %v", err)
		}
	})
}
