package ops

import (
	"crypto/sha256"
	"crypto/subtle"
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

	// Token is demanded, as "Authorization: Bearer …", from everybody who asks for more
	// than liveness and readiness; "" = nobody needs one.
	Token string

	// Profiles serves the profiles to other machines as well, not to this one only.
	Profiles bool

	// Webhooks serves what is below /webhooks/; nil = nothing.
	Webhooks http.Handler

	// Reload has the settings be read again, and says what has changed; nil = that is not
	// possible. Who does not show the token must be on this machine.
	Reload func() (string, error)
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
	mux.Handle("GET /metrics", guarded(o.Token, o.Metrics.Handler()))
	if o.Webhooks != nil {
		mux.Handle("/webhooks/", guarded(o.Token, o.Webhooks))
	}
	if o.Reload != nil {
		mux.Handle("POST /reload", guarded(o.Token, reload(o.Reload, o.Token != "")))
	}
	mux.Handle("GET /debug/pprof/", guarded(o.Token, profiles(o.Profiles)))
	return mux
}

// guarded answers only those who show the token; "" = everybody.
func guarded(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	want := sha256.Sum256([]byte("Bearer " + token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "This needs the header Authorization: Bearer with the token that is set as ops_token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// reload serves Options.Reload; everybody: not to this machine only.
func reload(do func() (string, error), everybody bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !everybody && (!isLoopback(r.RemoteAddr) || !isAddress(r.Host)) {
			http.Error(w, "Without an ops_token, only this machine may ask for a reload", http.StatusForbidden)
			return
		}
		told, err := do()
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		_, _ = io.WriteString(w, told+"\n")
	})
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
