package server

import (
	_ "embed"
	"html/template"
	"net"
	"net/http"
	"strconv"
	"time"

	"channels/hub"
)

//go:embed welcome.html
var welcomeHTML string

// welcomeEventPath is where the page's button posts to.
const welcomeEventPath = "/welcome/event"

// welcomeChannel is the channel that the page subscribes to.
const welcomeChannel = "my-channel"

// welcomePage fills in the page.
type welcomePage struct {
	App     *hub.App
	Host    string
	Port    string
	Channel string
	Event   string
	Path    string
}

func isWelcomePath(path string) bool { return path == "/" || path == welcomeEventPath }

// serveWelcome shows the page at / and sends the event that its button asks for; without
// an app there is no such page.
func (s *Server) serveWelcome(w http.ResponseWriter, r *http.Request, app *hub.App) {
	switch {
	case app == nil:
		http.Error(w, "Not found", http.StatusNotFound)
	case r.URL.Path == welcomeEventPath && r.Method == http.MethodPost:
		s.sendWelcomeEvent(w, r, app)
	case r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		s.showWelcome(w, r, app)
	default:
		http.Error(w, "Method not allowed", http.StatusMethodNotAllowed)
	}
}

func (s *Server) showWelcome(w http.ResponseWriter, r *http.Request, app *hub.App) {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, "80"
	}
	page, err := template.New("welcome").Parse(welcomeHTML)
	if err != nil {
		http.Error(w, "Internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = page.Execute(w, welcomePage{
		App: app, Host: host, Port: port,
		Channel: welcomeChannel, Event: "my-event", Path: welcomeEventPath,
	})
}

// sendWelcomeEvent publishes a fixed event. It takes requests from our own page only.
func (s *Server) sendWelcomeEvent(w http.ResponseWriter, r *http.Request, app *hub.App) {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	text := `{"message":"hello, it is ` + time.Now().Format(time.TimeOnly) + `"}`
	err := s.hub.Trigger(r.Context(), app, hub.Event{
		Name: "my-event", Channels: []string{welcomeChannel}, Data: []byte(strconv.Quote(text)),
	})
	if err != nil {
		http.Error(w, "Not published: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
