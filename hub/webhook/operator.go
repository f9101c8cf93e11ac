package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"channels/hub"
)

// Failed is a delivery that was given up, for the operator.
type Failed struct {
	ID      string          `json:"id"`
	URL     string          `json:"url"`
	Created time.Time       `json:"created"`
	Reason  string          `json:"reason"`
	Body    json.RawMessage `json:"body"`
}

// Overview is what an operator sees of an app's webhooks.
type Overview struct {
	App       string    `json:"app"`
	Endpoints []string  `json:"endpoints"`
	Recent    []Attempt `json:"recent"` // oldest first
	Failed    int       `json:"failed"`
}

var (
	errNoApp     = errors.New("no app with this id has webhooks")
	errWhichApp  = errors.New("several apps have webhooks: name the id of one")
	errNoFailed  = errors.New("no delivery with this id was given up")
	errNoURL     = errors.New("no endpoint has this URL")
	errNoWebhook = errors.New("no app has webhooks: set webhooks in the configuration")
)

// appOf finds an app that has webhooks; "" = the only one.
func (e *Engine) appOf(id string) (*hub.App, error) {
	apps := e.apps()
	switch {
	case len(apps) == 0:
		return nil, errNoWebhook
	case id == "" && len(apps) > 1:
		return nil, errWhichApp
	}
	for _, app := range apps {
		if id == "" || app.ID == id {
			return app, nil
		}
	}
	return nil, errNoApp
}

// Overview returns what is known of an app's deliveries.
func (e *Engine) Overview(ctx context.Context, app *hub.App) (Overview, error) {
	o := Overview{App: app.ID, Recent: []Attempt{}}
	for i := range app.Webhooks {
		o.Endpoints = append(o.Endpoints, shownURL(app.Webhooks[i].URL))
	}
	recent, err := e.store.Recent(ctx, app.ID)
	if err != nil {
		return o, err
	}
	for _, text := range recent {
		var a Attempt
		if json.Unmarshal(text, &a) == nil {
			o.Recent = append(o.Recent, a)
		}
	}
	failed, err := e.store.Failed(ctx, app.ID)
	o.Failed = len(failed)
	return o, err
}

// Failed returns the deliveries of an app that were given up, oldest first.
func (e *Engine) Failed(ctx context.Context, app *hub.App) ([]Failed, error) {
	kept, err := e.store.Failed(ctx, app.ID)
	if err != nil {
		return nil, err
	}
	all := make([]Failed, 0, len(kept))
	for _, each := range kept {
		if p, err := unpack(each); err == nil {
			all = append(all, Failed{p.ID, shownURL(p.URL), time.UnixMilli(p.Created).UTC(), p.Reason, p.Body})
		}
	}
	return all, nil
}

// Replay has a delivery be sent again that was given up, or all of them for id "all". It
// returns how many.
func (e *Engine) Replay(ctx context.Context, app *hub.App, id string) (int, error) {
	kept, err := e.store.Failed(ctx, app.ID)
	if err != nil {
		return 0, err
	}
	count := 0
	for _, each := range kept {
		p, err := unpack(each)
		if err != nil || id != "all" && p.ID != id {
			continue
		}
		done, err := e.store.Retry(ctx, app.ID, p.replayed(time.Now()).pack())
		if err != nil {
			return count, err
		}
		if done {
			count++
		}
	}
	if count == 0 && id != "all" {
		return 0, errNoFailed
	}
	return count, nil
}

// Test sends an event to the app's endpoints, or to the one with a URL, once, and returns
// what they have answered.
func (e *Engine) Test(app *hub.App, url string) ([]Attempt, error) {
	var attempts []Attempt
	for i := range app.Webhooks {
		w := &app.Webhooks[i]
		if url != "" && w.URL != url {
			continue
		}
		now := time.Now()
		o := hub.Occurrence{Kind: hub.HookOccupied, Topic: hub.Topic{App: app.ID, Channel: "webhook-test"}, At: now}
		attempts = append(attempts, e.sender.post(app, w, newParcel(w, now, []*waiting{{of: o}})))
	}
	if len(attempts) == 0 {
		return nil, errNoURL
	}
	return attempts, nil
}

// Handler serves the operator: GET /webhooks/list and /webhooks/failed, POST
// /webhooks/replay?id= and /webhooks/test?url=, all with ?app= unless only one app has
// webhooks.
func (e *Engine) Handler() http.Handler {
	mux := http.NewServeMux()
	serve := func(pattern string, do func(r *http.Request, app *hub.App) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			app, err := e.appOf(r.FormValue("app"))
			var answer any
			if err == nil {
				answer, err = do(r, app)
			}
			respond(w, answer, err)
		})
	}
	serve("GET /webhooks/list", func(r *http.Request, app *hub.App) (any, error) { return e.Overview(r.Context(), app) })
	serve("GET /webhooks/failed", func(r *http.Request, app *hub.App) (any, error) { return e.Failed(r.Context(), app) })
	serve("POST /webhooks/replay", func(r *http.Request, app *hub.App) (any, error) {
		count, err := e.Replay(r.Context(), app, r.FormValue("id"))
		return map[string]int{"replayed": count}, err
	})
	serve("POST /webhooks/test", func(r *http.Request, app *hub.App) (any, error) { return e.Test(app, r.FormValue("url")) })
	return mux
}

func respond(w http.ResponseWriter, answer any, err error) {
	switch {
	case errors.Is(err, errNoApp), errors.Is(err, errNoFailed), errors.Is(err, errNoURL), errors.Is(err, errNoWebhook):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, errWhichApp):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case err != nil:
		http.Error(w, fmt.Sprintf("the store of webhooks does not answer: %v", err), http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}
}
