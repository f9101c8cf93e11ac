package fallback

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Client is who has made a request, as far as trusted proxies tell it. A node that
// forwards the request tells the owner of the session.
type Client struct {
	Address netip.AddrPort // port 0 = unknown; not valid where there is no IP address
	Secure  bool           // it speaks TLS, to a node or to a proxy
}

// String is how a Client stands in the header.
func (c Client) String() string {
	scheme := "http"
	if c.Secure {
		scheme = "https"
	}
	if !c.Address.IsValid() {
		return scheme
	}
	return scheme + "://" + c.Address.String()
}

// parseClient reads what String returns.
func parseClient(s string) (Client, bool) {
	scheme, address, told := strings.Cut(s, "://")
	c := Client{Secure: scheme == "https"}
	if !told {
		return c, scheme == "http" || scheme == "https"
	}
	var err error
	c.Address, err = netip.ParseAddrPort(address)
	return c, err == nil
}

// forwardHeader is in every request from another node: the time in Unix seconds,
// the client, and the signature.
const forwardHeader = "Channels-Forwarded"

// signedFor is for how long a signature holds, to either side, so that the clocks
// of nodes may differ.
const signedFor = time.Minute

func isForwarded(r *http.Request) bool { return r.Header.Get(forwardHeader) != "" }

// sign makes a request one that this node has forwarded for a client.
func (t *Transport) sign(r *http.Request, client Client) {
	said := strconv.FormatInt(time.Now().Unix(), 10) + " " + client.String()
	r.Header.Set(forwardHeader, said+" "+hex.EncodeToString(signature(t.peers.Keys()[0], r, said)))
}

// signature covers what is said of a request, its method and its URL.
func signature(key []byte, r *http.Request, said string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(said + "\n" + r.Method + "\n" + r.URL.RequestURI())) // a hash takes everything
	return h.Sum(nil)
}

// verify returns the client for whom another node has forwarded a request. false:
// no node has.
func (t *Transport) verify(r *http.Request) (Client, bool) {
	words := strings.Split(r.Header.Get(forwardHeader), " ")
	if t.peers == nil || len(words) != 3 {
		return Client{}, false
	}
	unix, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil || time.Since(time.Unix(unix, 0)).Abs() > signedFor {
		return Client{}, false
	}
	got, err := hex.DecodeString(words[2])
	if err != nil {
		return Client{}, false
	}
	for _, key := range t.peers.Keys() {
		if hmac.Equal(got, signature(key, r, words[0]+" "+words[1])) {
			return parseClient(words[1])
		}
	}
	return Client{}, false
}
