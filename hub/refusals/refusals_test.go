package refusals_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"channels/hub/refusals"
)

// lines returns what a logger of a level wrote, one map a line.
func lines(t *testing.T, level slog.Level, tell func(l *refusals.Log)) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	tell(refusals.New(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level}))))
	var all []map[string]any
	for d := json.NewDecoder(&out); d.More(); {
		line := map[string]any{}
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
	return all
}

func TestFirstOfAMinuteIsAtInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		subscribe := refusals.Refusal{Kind: refusals.Subscribe, App: "1", Code: 4009, Text: "no", Socket: "1.2", Address: "10.0.0.1:9"}
		tell := func(l *refusals.Log) {
			l.Tell(subscribe)
			l.Tell(subscribe)
			l.Tell(refusals.Refusal{Kind: refusals.Subscribe, App: "2", Text: "no"})
			l.Tell(refusals.Refusal{Kind: refusals.Signin, App: "1", Text: "no"})
			time.Sleep(time.Minute - 1)
			l.Tell(subscribe)
			time.Sleep(time.Nanosecond)
			l.Tell(subscribe)
			time.Sleep(time.Minute)
			l.Tell(subscribe)
		}
		atInfo := lines(t, slog.LevelInfo, tell)
		if len(atInfo) != 5 {
			t.Fatalf("%d lines at info, want 5: %v", len(atInfo), atInfo)
		}
		first, again, last := atInfo[0], atInfo[3], atInfo[4]
		want := map[string]any{"kind": "subscribe", "app": "1", "socket": "1.2", "client": "10.0.0.1:9", "code": 4009.0, "told": "no"}
		for name, value := range want {
			if first[name] != value {
				t.Errorf("%s is %v, want %v", name, first[name], value)
			}
		}
		if again["others_since"] != 2.0 || last["others_since"] != nil {
			t.Errorf("told of %v and %v others, want 2 and none", again["others_since"], last["others_since"])
		}
		if atDebug := lines(t, slog.LevelDebug, tell); len(atDebug) != 7 {
			t.Errorf("%d lines at debug, want all 7", len(atDebug))
		}
	})
}

func TestCounts(t *testing.T) {
	l := refusals.New(slog.New(slog.DiscardHandler))
	var together sync.WaitGroup
	for range 8 {
		together.Go(func() {
			for i := range 20_000 {
				l.Tell(refusals.Refusal{Kind: refusals.Handshake, App: strconv.Itoa(i), Code: 4003})
			}
		})
	}
	together.Wait()
	counts := l.Counts()
	if n := counts[refusals.Key{App: "17", Kind: refusals.Handshake, Code: 4003}]; n != 8 {
		t.Errorf("counted %d, want 8", n)
	}
	if len(counts) > 10_001 {
		t.Errorf("%d apps are kept", len(counts))
	}
	if n := counts[refusals.Key{Kind: refusals.Handshake, Code: 4003}]; n != 80_000 {
		t.Errorf("counted %d of those beyond, want 80,000", n)
	}
}
