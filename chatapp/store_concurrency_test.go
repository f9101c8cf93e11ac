package chatapp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// storesOf opens the store several times where several processes may, so that
// nothing but the database can keep them in order.
func storesOf(t testing.TB, s *Store, c StoreConfig) []*Store {
	t.Helper()
	if c.URL == "" {
		return []*Store{s}
	}
	return []*Store{s, openStore(t, c), openStore(t, c)}
}

// TestChangesMissNothing lets several members post, edit, delete, read and come
// and go at once while a reader follows the changes. Each revision is one event,
// in order, and the reader ends up with what is stored.
func TestChangesMissNothing(t *testing.T) {
	const writers, each = 8, 25
	eachStore(t, func(t *testing.T, s *Store, config StoreConfig) {
		ctx := t.Context()
		owner := signUpAs(t, s, "owner")
		room := mustRoom(t, s, owner, KindOpen, "garden").ID
		stores := storesOf(t, s, config)

		var writing sync.WaitGroup
		for w := range writers {
			a := signUpAs(t, s, fmt.Sprint("writer", w))
			writing.Go(func() {
				if err := busyMember(ctx, stores[w%len(stores)], a, room, each); err != nil {
					t.Errorf("%s: %v", a.Name, err)
				}
			})
		}
		var done atomic.Bool
		var following sync.WaitGroup
		for i := range stores {
			following.Go(func() { follow(t, stores[i], owner, room, &done) })
		}
		writing.Wait()
		done.Store(true)
		following.Wait()
		wantOneEventEach(t, s, room, 0)
		if n, err := one(s.reading(ctx), nil, scanInt, "SELECT COUNT(*) FROM messages WHERE room_id = ?", room); n != writers*each || err != nil {
			t.Errorf("%d messages are stored, %v; want %d", n, err, writers*each)
		}
	})
}

// busyMember does what a member can do, each post twice.
func busyMember(ctx context.Context, s *Store, me Account, room string, times int) error {
	if _, err := s.join(ctx, me, room); err != nil {
		return err
	}
	for i := range times {
		clientID := fmt.Sprint(me.Name, "-", i)
		m, _, err := s.post(ctx, me, room, clientID, "hello")
		if err != nil {
			return err
		}
		again, already, err := s.post(ctx, me, room, clientID, "hello")
		if err != nil || !already || again.ID != m.ID {
			return fmt.Errorf("a retry gives %s (already %v), %w; want %s", again.ID, already, err, m.ID)
		}
		switch rand.IntN(5) {
		case 0:
			_, err = s.edit(ctx, me, room, m.ID, "edited")
		case 1:
			_, err = s.deleteMessage(ctx, me, room, m.ID)
		case 2:
			err = s.storeReads(ctx, map[string]map[string]int64{room: {me.ID: m.Seq}})
		case 3:
			err = s.endSessions(ctx, me)
		case 4:
			if err = s.leave(ctx, me, room); err == nil {
				_, err = s.join(ctx, me, room)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// follow fetches changes as a browser does until the writers are done, and
// compares what it has with what is stored.
func follow(t *testing.T, s *Store, me Account, room string, done *atomic.Bool) {
	ctx := t.Context()
	have := int64(0)
	messages, members := map[string]Message{}, map[string]Member{}
	for last := false; ; {
		ch, err := s.changes(ctx, me, room, have, 7)
		if err != nil {
			t.Errorf("changes: %v", err)
			return
		}
		if ch.Rev < have {
			t.Errorf("changes after %d go to %d", have, ch.Rev)
		}
		for _, m := range ch.Messages {
			messages[m.ID] = m
		}
		for _, m := range ch.Members {
			members[m.User.ID] = m
		}
		have = ch.Rev
		if ch.More {
			continue
		}
		if last {
			break
		}
		last = done.Load() // all that is stored by now is in the next answers
	}
	stored, err := collect(s.reading(ctx), scanMessage, messageSelect+"WHERE x.room_id = ?", room)
	if err != nil || len(stored) != len(messages) {
		t.Errorf("the follower has %d messages, %d are stored, %v", len(messages), len(stored), err)
	}
	for _, m := range stored {
		if messages[m.ID] != m {
			t.Errorf("the follower has %+v, stored is %+v", messages[m.ID], m)
		}
	}
	there, err := collect(s.reading(ctx), scanMember, memberSelect+"WHERE m.room_id = ?", room)
	if err != nil || len(there) != len(members) {
		t.Errorf("the follower has %d members, %d are stored, %v", len(members), len(there), err)
	}
	for _, m := range there {
		if got := members[m.User.ID]; got.Active != m.Active || got.Rev != m.Rev || got.ReadRev != m.ReadRev {
			t.Errorf("the follower has %+v, stored is %+v", got, m)
		}
	}
}

// TestSameClientIDAtOnce posts one message by many requests at once.
func TestSameClientIDAtOnce(t *testing.T) {
	const requests = 16
	eachStore(t, func(t *testing.T, s *Store, config StoreConfig) {
		anna := signUpAs(t, s, "anna")
		stores := storesOf(t, s, config)
		var stored atomic.Int64
		var ids sync.Map
		var posting sync.WaitGroup
		for i := range requests {
			posting.Go(func() {
				m, already, err := stores[i%len(stores)].post(t.Context(), anna, generalRoom, "once", "hello")
				if err != nil {
					t.Errorf("post: %v", err)
				}
				if !already {
					stored.Add(1)
				}
				ids.Store(m.ID, true)
			})
		}
		posting.Wait()
		different := 0
		ids.Range(func(any, any) bool { different++; return true })
		if stored.Load() != 1 || different != 1 {
			t.Errorf("%d were stored, with %d ids; want one", stored.Load(), different)
		}
		if rev := revOf(t, s, anna, generalRoom); rev != 2 {
			t.Errorf("revision %d, want 2: a join and a message", rev)
		}
	})
}

// TestRemovalEndsPosting removes a member while they post: nothing of theirs is
// stored above the revision that removed them.
func TestRemovalEndsPosting(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, config StoreConfig) {
		ctx := t.Context()
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		room := mustRoom(t, s, anna, KindClosed, "cellar", ben).ID
		stores := storesOf(t, s, config)
		started := make(chan struct{}, 100)
		var posting sync.WaitGroup
		for p := range 4 {
			posting.Go(func() {
				for i := 0; ; i++ {
					_, _, err := stores[p%len(stores)].post(ctx, ben, room, fmt.Sprint("c", p, "-", i), "hello")
					if errors.Is(err, errNoRoom) {
						return
					}
					if err != nil {
						t.Errorf("post: %v", err)
						return
					}
					select {
					case started <- struct{}{}:
					default:
					}
				}
			})
		}
		<-started
		r, _, err := s.removeMember(ctx, anna, room, ben.ID)
		if err != nil {
			t.Errorf("removeMember: %v", err)
		}
		posting.Wait()
		removed, err := one(s.reading(ctx), nil, scanInt, "SELECT rev FROM members WHERE room_id = ? AND user_id = ?", room, ben.ID)
		if err != nil {
			t.Fatal(err)
		}
		if now := revOf(t, s, anna, room); now != removed || r.Rev != removed {
			t.Errorf("the room is at revision %d, ben was removed at %d", now, removed)
		}
		rows := outbox(t, s, roomStream(room))
		if want := fmt.Sprintf("%d.2 terminate", removed); rows[len(rows)-1] != want {
			t.Errorf("the last row of the room's stream is %q, want %q", rows[len(rows)-1], want)
		}
	})
}

// TestOneFirstAccount lets many sign up at once, with one invite for three.
func TestOneFirstAccount(t *testing.T) {
	const people = 12
	eachStore(t, func(t *testing.T, s *Store, config StoreConfig) {
		stores := storesOf(t, s, config)
		var admins, others, refused atomic.Int64
		signUpAll := func(policy, invite, prefix string) {
			var signing sync.WaitGroup
			for i := range people {
				signing.Go(func() {
					a, _, err := stores[i%len(stores)].signUp(t.Context(), newAccount{
						Name: fmt.Sprint(prefix, i/2), Hash: "h", Policy: policy, Invite: invite, Session: time.Hour})
					switch {
					case err == nil && a.Admin:
						admins.Add(1)
					case err == nil:
						others.Add(1)
					case errors.Is(err, errNameTaken) || errors.Is(err, errInviteInvalid) || errors.Is(err, errSignupClosed):
						refused.Add(1)
					default:
						t.Errorf("signUp: %v", err)
					}
				})
			}
			signing.Wait()
		}
		signUpAll(SignupClosed, "", "first")
		if admins.Load() != 1 || others.Load() != 0 {
			t.Errorf("closed: %d administrators and %d others, want 1 and 0", admins.Load(), others.Load())
		}
		signUpAll(SignupOpen, "", "open")
		if admins.Load() != 1 || others.Load() != people/2 {
			t.Errorf("open: %d administrators and %d others, want 1 and %d: each name once", admins.Load(), others.Load(), people/2)
		}
		admin, err := one(s.reading(t.Context()), nil, scanAccount, "SELECT "+accountColumns+" FROM users u WHERE u.admin = 1")
		if err != nil {
			t.Fatal(err)
		}
		_, token, err := s.createInvite(t.Context(), admin, 3, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		others.Store(0)
		signUpAll(SignupInvite, token, "invited")
		if others.Load() != 3 {
			t.Errorf("an invite for 3 let %d in", others.Load())
		}
		wantOneEventEach(t, s, generalRoom, 0)
	})
}

// TestRoomsAtOnce asks for the same direct room and the same name by many
// requests at once.
func TestRoomsAtOnce(t *testing.T) {
	const requests = 10
	eachStore(t, func(t *testing.T, s *Store, config StoreConfig) {
		anna, ben := signUpAs(t, s, "anna"), signUpAs(t, s, "ben")
		stores := storesOf(t, s, config)
		var direct, named atomic.Int64
		var ids sync.Map
		var asking sync.WaitGroup
		for i := range requests {
			on, me, other := stores[i%len(stores)], anna, ben
			if i%2 == 1 {
				me, other = ben, anna
			}
			asking.Go(func() {
				r, created, err := on.directRoom(t.Context(), me, other.ID)
				if err != nil {
					t.Errorf("directRoom: %v", err)
				}
				if created {
					direct.Add(1)
				}
				ids.Store(r.ID, true)
			})
			asking.Go(func() {
				_, err := on.createRoom(t.Context(), me, KindOpen, "garden")
				if err == nil {
					named.Add(1)
				} else if !errors.Is(err, errRoomNameTaken) {
					t.Errorf("createRoom: %v", err)
				}
			})
		}
		asking.Wait()
		different := 0
		ids.Range(func(any, any) bool { different++; return true })
		if direct.Load() != 1 || different != 1 || named.Load() != 1 {
			t.Errorf("%d direct rooms with %d ids and %d rooms of one name; want one of each", direct.Load(), different, named.Load())
		}
	})
}
