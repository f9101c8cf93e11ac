package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"channels/hub"
)

// faulty is a Bus whose Publish a test replaces.
type faulty struct {
	*hub.Memory
	publish func(m hub.Message, done func(error))
}

func (f *faulty) Publish(m hub.Message, done func(error)) { f.publish(m, done) }

func newFaulty(t *testing.T) (*rig, *faulty) {
	f := &faulty{}
	r := newRig(t, nil, func(o *hub.Options) {
		f.Memory = o.Bus.(*hub.Memory)
		f.publish = f.Memory.Publish
		o.Bus = f
	})
	return r, f
}

func batch(n int) []hub.Event {
	events := make([]hub.Event, n)
	for i := range events {
		events[i] = hub.Event{Name: fmt.Sprint(i), Channels: []string{fmt.Sprint("c-", i%2)}, Data: []byte(`"{}"`)}
	}
	return events
}

func TestABatchIsPublishedInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.connect()
		c.subscribe("c-0")
		c.subscribe("c-1")
		c.expect(acknowledged, acknowledged)
		if err := r.hub.TriggerBatch(t.Context(), r.app, batch(10)); err != nil {
			t.Fatal(err)
		}
		r.settle()
		got := map[string][]string{}
		for _, e := range c.take() {
			got[e.Channel] = append(got[e.Channel], e.Event)
		}
		if !slices.Equal(got["c-0"], []string{"0", "2", "4", "6", "8"}) || !slices.Equal(got["c-1"], []string{"1", "3", "5", "7", "9"}) {
			t.Errorf("got %v", got)
		}
	})
}

// TestWhatABatchAnswers wants ErrUnavailable only where nothing was published.
func TestWhatABatchAnswers(t *testing.T) {
	other := errors.New("no answer")
	for name, test := range map[string]struct {
		answers []error // for each event
		want    error
	}{
		"all is well":         {[]error{nil, nil, nil}, nil},
		"all were refused":    {[]error{hub.ErrUnavailable, fmt.Errorf("%w: why", hub.ErrUnavailable), hub.ErrUnavailable}, hub.ErrUnavailable},
		"one was published":   {[]error{nil, hub.ErrUnavailable, hub.ErrUnavailable}, hub.ErrUncertain},
		"the last was not":    {[]error{nil, nil, hub.ErrUnavailable}, hub.ErrUncertain},
		"one is not known":    {[]error{hub.ErrUnavailable, other, hub.ErrUnavailable}, hub.ErrUncertain},
		"none is known":       {[]error{other, other, other}, hub.ErrUncertain},
		"one, and unknown":    {[]error{other}, hub.ErrUncertain},
		"one, and refused":    {[]error{hub.ErrUnavailable}, hub.ErrUnavailable},
		"published, unknown":  {[]error{nil, other}, hub.ErrUncertain},
		"no events whatever":  {nil, nil},
		"many, only one good": {append(slices.Repeat([]error{hub.ErrUnavailable}, 9), nil), hub.ErrUncertain},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, f := newFaulty(t)
				next := 0
				f.publish = func(_ hub.Message, done func(error)) {
					next++
					done(test.answers[next-1])
				}
				err := r.hub.TriggerBatch(t.Context(), r.app, batch(len(test.answers)))
				if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if test.want == hub.ErrUncertain && errors.Is(err, hub.ErrUnavailable) {
					t.Error("is ErrUnavailable as well")
				}
			})
		})
	}
}

// TestOneRoundTrip wants a batch to be under way as a whole before any answer.
func TestOneRoundTrip(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, f := newFaulty(t)
		f.publish = func(_ hub.Message, done func(error)) { time.AfterFunc(time.Second, func() { done(nil) }) }
		began := time.Now()
		if err := r.hub.TriggerBatch(t.Context(), r.app, batch(10)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v, want one round trip", took)
		}
	})
}

func TestAPublisherHangsUpWhileTheBusIsSlow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, f := newFaulty(t)
		f.publish = func(_ hub.Message, done func(error)) { time.AfterFunc(time.Second, func() { done(nil) }) }
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := r.hub.TriggerBatch(ctx, r.app, batch(2))
		if !errors.Is(err, hub.ErrUncertain) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Second)
	})
}

func TestChannelInfos(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		a, b := r.connect(), r.connect()
		a.enter("presence-x", "ann")
		b.enter("presence-x", "ann")
		b.subscribe("news")
		r.settle()
		infos, err := r.hub.ChannelInfos(t.Context(), r.app, []string{"news", "presence-x", "nothing"})
		want := []hub.ChannelInfo{
			{Name: "news", Subscribers: 1}, {Name: "presence-x", Subscribers: 2, Users: 1}, {Name: "nothing"},
		}
		if err != nil || !slices.Equal(infos, want) {
			t.Errorf("got %+v, %v; want %+v", infos, err, want)
		}
	})
}
