package contract

import (
	"errors"
	"slices"
	"testing"
	"time"

	"channels/hub"
)

func tokenOf(app string, n byte) hub.Token { return hub.Token{App: app, Hash: [16]byte{n, 0xff, '\n'}} }

func ownerOf(n uint64) hub.Owner { return hub.Owner{Node: hub.NodeID{1, 0, 0xfe}, Conn: n} }

func claim(t testing.TB, n Node, token hub.Token, owner hub.Owner, life time.Duration) hub.Claimed {
	t.Helper()
	type answer struct {
		claimed hub.Claimed
		err     error
	}
	done := make(chan answer, 1)
	n.State.Claim(token, owner, life, func(c hub.Claimed, err error) { done <- answer{c, err} })
	a := await(t, done)
	if a.err != nil {
		t.Fatal(a.err)
	}
	if a.claimed.Since > a.claimed.Now || a.claimed.Now == 0 {
		t.Errorf("no token was forgotten since %d, and it is %d", a.claimed.Since, a.claimed.Now)
	}
	return a.claimed
}

func note(t testing.TB, n Node, marks ...hub.Mark) {
	t.Helper()
	done := make(chan error, 1)
	n.State.Note(marks, func(err error) { done <- err })
	if err := await(t, done); err != nil {
		t.Fatal(err)
	}
}

// wantClaimed wants a text, which begins with ^ when it is of an owner before.
func wantClaimed(t testing.TB, what string, got hub.Claimed, known bool, owner hub.Owner, text string) {
	t.Helper()
	if len(got.Text) > 0 && !got.Own {
		got.Text = append([]byte("^"), got.Text...)
	}
	if got.Known != known || known && got.Owner != owner || string(got.Text) != text {
		t.Errorf("%s: known %v, of %v: %q, want %v, of %v: %q", what, got.Known, got.Owner, got.Text, known, owner, text)
	}
}

func stateClaims(t *testing.T, nodes []Node) {
	const life = time.Minute
	token, one, two := tokenOf(app, 1), ownerOf(1), ownerOf(2)
	wantClaimed(t, "a new token", claim(t, nodes[0], token, one, life), false, hub.Owner{}, "")
	wantClaimed(t, "of which nothing was noted", claim(t, last(nodes), token, one, life), true, one, "")
	note(t, nodes[0], hub.Mark{Token: token, Owner: one, Text: []byte("a\x00b"), Life: life})
	wantClaimed(t, "with a mark", claim(t, last(nodes), token, two, life), true, one, "a\x00b")
	wantClaimed(t, "of an owner before", claim(t, last(nodes), token, two, life), true, two, "^a\x00b")
	note(t, nodes[0], hub.Mark{Token: token, Owner: one, Text: []byte("of one who has it no more"), Life: life})
	note(t, last(nodes), hub.Mark{Token: token, Owner: two, Text: []byte("c"), Life: life})
	wantClaimed(t, "of another owner", claim(t, nodes[0], token, one, life), true, two, "c")
	note(t, nodes[0], hub.Mark{Token: tokenOf(app, 9), Owner: one, Text: []byte("never claimed"), Life: life})
	wantClaimed(t, "never claimed", claim(t, nodes[0], tokenOf(app, 9), one, life), false, hub.Owner{}, "")
	wantClaimed(t, "of another app", claim(t, nodes[0], tokenOf("2", 1), one, life), false, hub.Owner{}, "")
}

func stateNotesMany(t *testing.T, nodes []Node) {
	var marks []hub.Mark
	for i := range 200 {
		token, owner := tokenOf(app, byte(i)), ownerOf(uint64(i)) //nolint:gosec // small
		claim(t, nodes[0], token, owner, time.Minute)
		marks = append(marks, hub.Mark{Token: token, Owner: owner, Text: slices.Repeat([]byte{byte(i)}, 100), Life: time.Minute})
	}
	note(t, nodes[0], marks...)
	for i, m := range marks {
		wantClaimed(t, numbered("token", i), claim(t, last(nodes), m.Token, m.Owner, time.Minute), true, m.Owner, string(m.Text))
	}
}

func stateForgetsTokens(t *testing.T, nodes []Node) {
	const life = 300 * time.Millisecond
	token := tokenOf(app, 5)
	claim(t, nodes[0], token, ownerOf(1), time.Minute)
	note(t, nodes[0], hub.Mark{Token: token, Owner: ownerOf(1), Text: []byte("x"), Life: life})
	time.Sleep(life)
	eventually(t, func() error {
		if claim(t, nodes[0], token, ownerOf(1), life/100).Known {
			time.Sleep(life / 50)
			return errors.New("it is known for longer than its life")
		}
		return nil
	})
}
