package contract

import (
	"context"
	"errors"
	"testing"

	"channels/hub"
)

func stateCarriesOutOnce(t *testing.T, nodes []Node) {
	ctx := context.Background()
	one, other := hub.NewOnce("key", []byte("body")), hub.NewOnce("key", []byte("another body"))
	begin := func(n Node, app string, o hub.Once, wantAnswer string, wantAnswered bool, want error) {
		t.Helper()
		answer, answered, err := n.State.Begin(ctx, app, o)
		if string(answer) != wantAnswer || answered != wantAnswered || !errors.Is(err, want) {
			t.Errorf("begin: %q, %v, %v, want %q, %v, %v", answer, answered, err, wantAnswer, wantAnswered, want)
		}
	}
	begin(nodes[0], app, one, "", false, nil)
	begin(last(nodes), app, one, "", false, nil)
	begin(last(nodes), app, other, "", false, hub.ErrOtherBody)
	if err := nodes[0].State.Finish(ctx, app, one, []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	begin(last(nodes), app, one, `{"a":1}`, true, nil)
	begin(nodes[0], app, other, "", false, hub.ErrOtherBody)
	begin(nodes[0], "2", other, "", false, nil)
	if err := nodes[0].State.Finish(ctx, "2", other, nil); err != nil {
		t.Fatal(err)
	}
	begin(nodes[0], "2", other, "", true, nil)
}

func statePublishesOnce(t *testing.T, nodes []Node) {
	to, how := topic("once"), kept()
	r := follow(t, nodes[0], to)
	for i, n := range []Node{nodes[0], last(nodes), nodes[0]} {
		m := event(to, "a")
		m.Once, m.Keep = &hub.Part{Key: [16]byte{1}, Index: 0}, how
		publish(t, n, m)
		second := event(to, numbered("b", i))
		second.Once = &hub.Part{Key: [16]byte{1}, Index: 1 + i}
		publish(t, n, second)
	}
	foreign := event(hub.Topic{App: "2", Channel: "once"}, "of another app")
	foreign.Once = &hub.Part{Key: [16]byte{1}, Index: 0}
	publish(t, nodes[0], foreign)
	got := names(t, fence(t, nodes[0], r, to))
	if want := "[a b-0 b-1 b-2]"; len(got) != 4 || got[0] != "a" || got[3] != "b-2" {
		t.Errorf("got %v, want %s", got, want)
	}
	wantTexts(t, "the history", past(t, nodes[0], to, how, hub.Span{}), "a.")
}
