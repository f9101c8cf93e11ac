package chatapp

import (
	"bytes"
	"embed"
	"io/fs"
	"net"
	"net/http"
	"path"
	"strings"
	"time"
)

// dist is the browser client as it was built, or else the page that says how to
// build it.
//
//go:embed all:web/dist
var dist embed.FS

// pages serves the browser client.
type pages struct {
	config Config
	files  fs.FS
	index  []byte
}

func newPages(c Config) (*pages, error) {
	files, err := fs.Sub(dist, "web/dist")
	if err != nil {
		return nil, err
	}
	return pagesOf(c, files)
}

func pagesOf(c Config, files fs.FS) (*pages, error) {
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		index, err = fs.ReadFile(files, "placeholder.html")
	}
	return &pages{c, files, index}, err
}

// ServeHTTP serves a built file, or the client's page for everything that is
// none: the client reads the rest of the address.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	data, err := fs.ReadFile(p.files, name)
	if err != nil || name == "index.html" {
		name, data = "index.html", p.index
	}
	caching := "no-cache"
	if strings.HasPrefix(name, "assets/") { // their names change with what is in them
		caching = "public, max-age=31536000, immutable"
	}
	w.Header().Set("Cache-Control", caching)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
}

// harden says what the browser must not do with our answers.
func (p *pages) harden(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"font-src 'self'; manifest-src 'self'; connect-src "+strings.TrimSpace("'self' "+p.config.realtimeSources(host))+"; "+
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// getPage answers what is no question for the API. A built file that there is not
// any more (of an older build) must not look like one.
func (s *Server) getPage(w http.ResponseWriter, r *http.Request) {
	file := strings.HasPrefix(r.URL.Path, "/assets/")
	if strings.HasPrefix(r.URL.Path, "/api/") || file && !s.pages.has(r.URL.Path) {
		refuse(w, r, s.log, errNotFound)
		return
	}
	s.pages.ServeHTTP(w, r)
}

func (p *pages) has(address string) bool {
	info, err := fs.Stat(p.files, strings.TrimPrefix(path.Clean(address), "/"))
	return err == nil && !info.IsDir()
}
