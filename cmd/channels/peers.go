package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"channels/hub/redisbus"
	"channels/hub/transport/fallback"
)

// peers are the other nodes, to which requests of clients without WebSockets are
// forwarded. nil = there are none.
type peers struct {
	*redisbus.Owners
	redis   redisbus.Config
	log     *slog.Logger
	address string // of this node; a URL
}

var _ fallback.Peers = (*peers)(nil)

// forSessions returns nil, and not an interface that holds nil, where there are none.
func (p *peers) forSessions() fallback.Peers {
	if p == nil {
		return nil
	}
	return p
}

// advertise registers the address by which other nodes reach this one, and returns
// it.
func (p *peers) advertise(ctx context.Context, s Settings, listener net.Addr) (string, error) {
	if p == nil {
		return "none", nil
	}
	address, local, err := p.find(ctx, s, listener)
	if err != nil {
		return "", fmt.Errorf("advertise: the address by which other nodes reach this one is not known, so set it: %w", err)
	}
	p.address = "http://" + address
	if s.TLS.CertFile != "" {
		p.address = "https://" + address
	}
	if loopback(address) && local.IsValid() && !local.IsLoopback() {
		p.log.Warn("other nodes do not reach this one, which listens on a loopback address while Redis is on another machine: "+
			"clients without WebSockets need a balancer that leads their requests to one node; set advertise, or advertise=off",
			"advertise", address)
	}
	return address, p.Start(ctx, p.address)
}

// find returns the address that is set, or the one that is listened at, or that of
// the interface which reaches Redis, which is local.
func (p *peers) find(ctx context.Context, s Settings, listener net.Addr) (address string, local netip.Addr, err error) {
	if s.Advertise != "" {
		return s.Advertise, netip.Addr{}, nil
	}
	at, err := netip.ParseAddrPort(listener.String())
	if err != nil {
		return "", netip.Addr{}, err
	}
	local, err = p.redis.LocalAddr(ctx)
	if !at.Addr().IsUnspecified() {
		return at.String(), local, nil // the other one is for a warning only
	}
	return netip.AddrPortFrom(local, at.Port()).String(), local, err
}

// How long this node tries to reach itself after its start, and how often.
const (
	reachPatience = 5 * time.Second
	reachInterval = 500 * time.Millisecond
)

// check warns when this node does not reach itself by the address that others have.
// The function that it returns ends the check.
func (p *peers) check(ctx context.Context, overHTTP *fallback.Transport) (end func()) {
	if p == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		err := p.reach(ctx, overHTTP)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			p.log.Debug("this node reaches itself by the address that other nodes have", "advertise", p.address)
		default:
			p.log.Warn("other nodes cannot forward requests of clients without WebSockets to this one: set advertise to an address at which they reach it, or to off",
				"advertise", p.address, "error", err)
		}
	})
	return func() { cancel(); running.Wait() }
}

func (p *peers) reach(ctx context.Context, overHTTP *fallback.Transport) error {
	patience, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	var last error
	for {
		err := overHTTP.Reach(patience, p.address)
		if err == nil {
			return nil
		}
		if last == nil || patience.Err() == nil { // what had its time tells more
			last = err
		}
		select {
		case <-patience.Done():
			return last
		case <-time.After(reachInterval):
		}
	}
}
