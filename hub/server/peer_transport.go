package server

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Limits of connections to other nodes.
const (
	peerDialTimeout = 2 * time.Second
	peerIdleTimeout = time.Minute // less than HTTPServer's, so that no request meets a close
	peerIdleConns   = 64          // to each node
)

// PeerTransport makes requests to the public listeners of other nodes, which are set
// up as this one is: certificate is nil where they speak plain HTTP, and with
// proxyProtocol connections begin with a PROXY header, which names no client.
func PeerTransport(certificate *Certificate, proxyProtocol bool) *http.Transport {
	dialer := &net.Dialer{Timeout: peerDialTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3,
	}}
	t := &http.Transport{
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: peerDialTimeout,
		MaxIdleConnsPerHost: peerIdleConns,
		IdleConnTimeout:     peerIdleTimeout,
		DisableCompression:  true, // it holds answers back
	}
	if certificate != nil {
		t.TLSClientConfig = certificate.PeerConfig()
	}
	if proxyProtocol {
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			if _, err := conn.Write([]byte("PROXY UNKNOWN\r\n")); err != nil {
				_ = conn.Close()
				return nil, err
			}
			return conn, nil
		}
	}
	return t
}
