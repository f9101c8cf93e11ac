package ops

import (
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"time"
)

// profiles serves the profiles of the running program. They take processor time and
// show what is in memory, so that only this machine gets them unless everybody may.
// The command line is left out: it may hold secrets.
func profiles(everybody bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !everybody && !isLoopback(r.RemoteAddr):
			http.Error(w, "Profiles are for this machine only; the setting ops_pprof opens them to others", http.StatusForbidden)
			return
		case !isAddress(r.Host):
			// A page in a browser on this machine can point a name of its own at it.
			http.Error(w, "Profiles are served under an IP address or localhost, not under another name", http.StatusForbidden)
			return
		}
		// The server's ReadTimeout would cancel the request in the middle of a long
		// profile.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		mux.ServeHTTP(w, r)
	})
}

func isLoopback(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// isAddress reports whether the host of a request is an IP address or localhost.
func isAddress(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	_, err := netip.ParseAddr(host)
	return err == nil || strings.EqualFold(host, "localhost")
}
