package chatapp

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// How browsers learn of changes.
const (
	TransportPush = "push"
	TransportPoll = "poll" // they ask every two seconds: the old way, for comparison
)

// pollInterval is what Config tells the browser, in milliseconds.
const pollInterval = 2000

// Config is what the chat is told by its operator.
type Config struct {
	Version   string
	PublicURL *url.URL // of the pages behind a proxy; nil: as they are asked for
	Signup    string   // SignupOpen, SignupInvite or SignupClosed
	Transport string   // TransportPush or TransportPoll
	Pusher    Pusher
}

// secure tells whether browsers come over HTTPS.
func (c Config) secure() bool { return c.PublicURL != nil && c.PublicURL.Scheme == "https" }

// Pusher says where the realtime server is, for us and for browsers.
type Pusher struct {
	AppID, Key, Secret string
	Cluster            string // of the hosted service; used when Host is ""
	Host               string // "" with a cluster: the hosted service
	Port               int
	Scheme             string // "http" or "https"
	Resume             bool   // it gives browsers what they have missed, if they name a token

	// What browsers are told; "" and 0 follow from the above.
	PublicHost   string
	PublicPort   int
	PublicScheme string
}

// hosted tells whether the realtime server is not ours.
func (p Pusher) hosted() bool { return p.Cluster != "" && p.Host == "" }

// address is the server's host and port as the SDK wants it.
func (p Pusher) address() string {
	if p.hosted() {
		return ""
	}
	return net.JoinHostPort(p.Host, strconv.Itoa(p.Port))
}

// base is the URL of the server's REST API.
func (p Pusher) base() string {
	if p.hosted() {
		return "https://api-" + p.Cluster + ".pusher.com"
	}
	return p.Scheme + "://" + p.address()
}

// clientConfig is the answer to GET /api/config.
type clientConfig struct {
	Key          string  `json:"key"`
	Cluster      string  `json:"cluster"`
	Host         *string `json:"host"`
	Port         int     `json:"port"`
	Scheme       string  `json:"scheme"`
	Resume       bool    `json:"resume"`
	Transport    string  `json:"transport"`
	PollInterval int     `json:"pollInterval"`
	Signup       string  `json:"signup"`
	FirstAccount bool    `json:"firstAccount"`
	MaxMessage   int     `json:"maxMessage"`
	MaxName      int     `json:"maxName"`
	MinPassword  int     `json:"minPassword"`
	MaxMembers   int     `json:"maxMembers"`
	Version      string  `json:"version"`
}

func (c Config) client(firstAccount bool) clientConfig {
	p := c.Pusher
	cc := clientConfig{
		Key: p.Key, Port: p.Port, Scheme: p.Scheme, Resume: p.Resume,
		Transport: c.Transport, PollInterval: pollInterval, Signup: c.Signup, FirstAccount: firstAccount,
		MaxMessage: MaxMessage, MaxName: MaxName, MinPassword: MinPassword, MaxMembers: MaxMembers, Version: c.Version,
	}
	switch {
	case p.PublicHost != "":
		cc.Host = &p.PublicHost
	case p.hosted():
		cc.Cluster, cc.Port, cc.Scheme = p.Cluster, 443, "https"
	case !isLoopback(p.Host):
		cc.Host = &p.Host
	}
	if p.PublicPort != 0 {
		cc.Port = p.PublicPort
	}
	if p.PublicScheme != "" {
		cc.Scheme = p.PublicScheme
	}
	return cc
}

// realtimeSources are the addresses at which the browser reaches the realtime server,
// over WebSockets and over HTTP, for the Content-Security-Policy of a page that was
// asked for at a host.
func (c Config) realtimeSources(host string) string {
	cc := c.client(false)
	if cc.Cluster != "" {
		return "wss://ws-" + cc.Cluster + ".pusher.com https://sockjs-" + cc.Cluster + ".pusher.com"
	}
	scheme, overHTTP := "ws", "http"
	if cc.Scheme == "https" {
		scheme, overHTTP = "wss", "https"
	}
	if cc.Host != nil {
		host = *cc.Host
	}
	if !IsHostName(host) { // made up by the client: it must not write our policy
		return ""
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	address := "://" + host + ":" + strconv.Itoa(cc.Port)
	return scheme + address + " " + overHTTP + address
}

// IsHostName tells whether this is a host's name or address, without a port and
// without brackets.
func IsHostName(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	for _, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && r != '-' && r != '.' && r != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 253
}

// isLoopback tells whether a host is this machine, so that a browser elsewhere
// has to be told another name.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && (addr.IsLoopback() || addr.IsUnspecified())
}
