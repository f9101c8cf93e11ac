package target

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Target is where a server is, and what it takes to use it.
type Target struct {
	REST   *url.URL // scheme and host
	WS     *url.URL // with the key in its path
	AppID  string
	Key    string
	Secret string
}

// Parse reads a target in the form of the SDKs, http://key:secret@host:port/apps/1.
// Sockets are at the same host, or where ws says if it is not empty.
func Parse(text, ws string) (Target, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Target{}, fmt.Errorf("the target %q is no URL: it looks like http://key:secret@host:port/apps/1", redacted(text))
	}
	secret, _ := u.User.Password()
	t := Target{Key: u.User.Username(), Secret: secret, REST: &url.URL{Scheme: u.Scheme, Host: u.Host}}
	var wrong []error
	if u.Scheme != "http" && u.Scheme != "https" {
		wrong = append(wrong, fmt.Errorf("the target's scheme %q is neither http nor https", u.Scheme))
	}
	if u.Hostname() == "" {
		wrong = append(wrong, errors.New("the target has no host"))
	}
	if t.Key == "" || t.Secret == "" {
		wrong = append(wrong, errors.New("the target has no key and secret: they stand before the host, http://key:secret@host/apps/1"))
	}
	id, ok := strings.CutPrefix(strings.TrimSuffix(u.Path, "/"), "/apps/")
	if !ok || id == "" || strings.Contains(id, "/") {
		wrong = append(wrong, fmt.Errorf("the target's path is %q, not /apps/ID", u.Path))
	}
	t.AppID = id
	t.WS, err = t.sockets(ws)
	if err != nil {
		wrong = append(wrong, err)
	}
	return t, errors.Join(wrong...)
}

// sockets returns the address of sockets, with the query that SDKs send.
func (t Target) sockets(ws string) (*url.URL, error) {
	u := &url.URL{Scheme: "ws", Host: t.REST.Host}
	if t.REST.Scheme == "https" {
		u.Scheme = "wss"
	}
	if ws != "" {
		given, err := url.Parse(ws)
		if err != nil || given.Host == "" || given.Scheme != "ws" && given.Scheme != "wss" {
			return nil, fmt.Errorf("the address of sockets %q is not like ws://host:port", ws)
		}
		u = &url.URL{Scheme: given.Scheme, Host: given.Host, Path: strings.TrimSuffix(given.Path, "/")}
	}
	if !strings.Contains(u.Path, "/app/") {
		u.Path += "/app/" + t.Key
	}
	u.RawQuery = "protocol=7&client=loadtest&version=1.0"
	return u, nil
}

// String is the target without its secret.
func (t Target) String() string { return fmt.Sprintf("%s/apps/%s", t.REST, t.AppID) }

// Loopback tells whether REST and sockets are on this machine.
func (t Target) Loopback() bool { return loopback(t.REST) && loopback(t.WS) }

func loopback(u *url.URL) bool {
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback()
}

// address returns host and port to dial.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "ws": "80", "https": "443", "wss": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// SocketAddress returns host and port of sockets.
func (t Target) SocketAddress() string { return address(t.WS) }

// redacted hides what stands before the host.
func redacted(text string) string {
	if at := strings.LastIndex(text, "@"); at >= 0 {
		return "…" + text[at:]
	}
	return text
}
