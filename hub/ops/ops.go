package ops

import (
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Options configure the operator's endpoints.
type Options struct {
	Metrics *Metrics

	// Ready is why this node should get no clients, nil if it should.
	Ready func() error

	// Impaired is what does not work, though no other node would be better: a node
	// that is ready says so. It is nil when everything works, or Impaired is.
	Impaired func() error

	// Profiles serves the profiles to other machines as well, not to this one only.
	Profiles bool
}

// Handler returns the operator's endpoints: liveness, readiness, metrics and
// profiles. It is for a listener that strangers do not reach.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, readiness(o.Impaired))
	})
	mux.Handle("GET /metrics", o.Metrics.Handler())
	mux.Handle("GET /debug/pprof/", profiles(o.Profiles))
	return mux
}

// readiness is what a node says that should be given clients.
func readiness(impaired func() error) string {
	if impaired != nil {
		if err := impaired(); err != nil {
			return "ok, but publishes are refused: " + err.Error() + "\n"
		}
	}
	return "ok\n"
}

// Server returns a server for the operator's listener, with all time-outs: a scraper
// that vanishes must not hold a connection for ever. Its errors go to log.
func Server(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second, // a profile has this long after its own time
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelError),
	}
}
