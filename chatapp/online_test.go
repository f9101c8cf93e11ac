package chatapp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
)

// TestOnline goes through answers of the server, and what is published after each.
func TestOnline(t *testing.T) {
	t.Parallel()
	many := make([]string, maxOnlineIDs+1)
	for i := range many {
		many[i] = fmt.Sprintf("m%03d", i)
	}
	var answer []string
	var askErr, publishErr error
	var published any
	var channels []string
	o := newOnline(func(context.Context) (map[string]string, error) {
		all := map[string]string{}
		for _, user := range answer {
			all[user] = userChannel(user, 1)
		}
		return all, askErr
	}, func(_ context.Context, on []string, event string, data any) error {
		if event != eventOnline {
			t.Errorf("published %s", event)
		}
		channels, published = on, data
		return publishErr
	}, slog.New(slog.DiscardHandler))
	away := errors.New("away")
	for _, step := range []struct {
		name    string
		answer  []string
		ask     error
		publish error
		want    any
		online  []string
	}{
		{"nobody", nil, nil, nil, nil, []string{}},
		{"two come", []string{"a", "b"}, nil, nil, onlineEvent{[]string{"a", "b"}, []string{}}, []string{"a", "b"}},
		{"nothing new", []string{"a", "b"}, nil, nil, nil, []string{"a", "b"}},
		{"one reloads", []string{"a"}, nil, nil, nil, []string{"a", "b"}},
		{"and is back", []string{"a", "b"}, nil, nil, nil, []string{"a", "b"}},
		{"the server is away", nil, away, nil, nil, []string{"a", "b"}},
		{"one goes", []string{"a"}, nil, nil, nil, []string{"a", "b"}},
		{"is missing again", []string{"a"}, nil, nil, nil, []string{"a", "b"}},
		{"and is offline, but nobody can be told", []string{"a"}, nil, away, onlineEvent{[]string{}, []string{"b"}}, []string{"a"}},
		{"it is told later", []string{"a"}, nil, nil, onlineEvent{[]string{}, []string{"b"}}, []string{"a"}},
		{"very many come", append([]string{"a"}, many...), nil, nil, onlineFetch{true}, append([]string{"a"}, many...)},
	} {
		answer, askErr, publishErr, published, channels = step.answer, step.ask, step.publish, nil, nil
		o.look(t.Context())
		if got, want := fmt.Sprint(published), fmt.Sprint(step.want); got != want {
			t.Errorf("%s: published %s, want %s", step.name, got, want)
		}
		if published != nil && len(channels) != len(step.answer) {
			t.Errorf("%s: published on %d channels, want %d", step.name, len(channels), len(step.answer))
		}
		if got := o.list(); !slices.Equal(got, step.online) {
			t.Errorf("%s: online are %v, want %v", step.name, got, step.online)
		}
	}
}
