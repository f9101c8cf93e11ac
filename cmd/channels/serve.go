package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"channels/hub"
	"channels/hub/api"
	"channels/hub/ops"
	"channels/hub/server"
	"channels/hub/transport"
	"channels/protocol"
)

// serve runs the server until ctx ends, and then shuts it down within the grace
// period.
func serve(ctx context.Context, s Settings, log *slog.Logger) error {
	files, limitErr := raiseFileLimit()
	ceiling := connectionCeiling(files, s.Limits.MaxConnections)

	metrics := ops.NewMetrics()
	backend, err := openBackend(ctx, s, metrics, log)
	if err != nil {
		return err
	}
	defer backend.close()
	engine := hub.New(hub.Options{
		Apps:           s.Apps,
		Bus:            backend.bus,
		State:          backend.state,
		MailboxBytes:   s.Limits.MailboxBytes,
		MaxHeldBytes:   s.Limits.MaxQueueBytesPerConnection,
		MaxConnections: ceiling,
		Delivered:      metrics.Delivered,
	})
	defer engine.Close()
	backend.engine.Store(engine)

	carrier := transport.New(transport.Options{
		Hub:            engine,
		Log:            log,
		QueueBytes:     s.Limits.MaxQueueBytesPerConnection,
		NodeQueueBytes: int64(s.Limits.MaxQueueBytes),
	})
	rest := api.New(api.Options{
		Hub:               engine,
		Log:               log,
		MaxRequestBytes:   s.Limits.MaxRequestBytes,
		RequestsPerSecond: s.Limits.RequestsPerSecond,
	})
	front := server.New(server.Options{
		Hub:                 engine,
		API:                 rest,
		Transport:           carrier,
		Log:                 log,
		HandshakesPerSecond: s.Limits.HandshakesPerSecondPerAddress,
		Ready:               backend.ready,
		Welcome:             welcomeApp(s),
	})
	l, err := listen(ctx, s, log)
	if err != nil {
		return err
	}
	defer carrier.Close()
	metrics.Show(ops.Sources{Hub: engine, API: rest, Transport: carrier, Port: l.port})
	log.Info("channels is ready",
		"listen", l.public.Addr().String(), "ops", l.opsAddr(), "version", version(),
		"max_connections", ceiling, "open_files", files, "apps", len(s.Apps), "redis", backend.name)
	backend.warn(log)
	if limitErr != nil {
		log.Warn("open-file limit not raised", "error", limitErr)
	}
	if welcomeApp(s) != nil {
		log.Info("credentials for development: a page to start from is served", "open", "http://"+l.public.Addr().String())
	}
	n := node{engine: engine, carrier: carrier, front: front, ops: ops.Handler(metrics, front.Ready), log: log}
	return n.run(ctx, l, s.ShutdownGrace)
}

// welcomeApp returns the app that the welcome page shows: the one with the
// credentials for development, on a listener that only this machine reaches.
func welcomeApp(s Settings) *hub.App {
	if !s.DevelopmentApp || len(s.Apps) != 1 {
		return nil
	}
	return &s.Apps[0]
}

// listeners are the server's two ends.
type listeners struct {
	public net.Listener
	port   string       // of the public one
	ops    net.Listener // nil when switched off
}

func listen(ctx context.Context, s Settings, log *slog.Logger) (*listeners, error) {
	// No TCP keep-alive: sockets are pinged, requests have time-outs, and the
	// four options to set are calls that every new connection would pay for.
	lc := net.ListenConfig{KeepAlive: -1}
	public, err := lc.Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", s.Listen, err)
	}
	l := &listeners{public: public}
	_, l.port, _ = net.SplitHostPort(public.Addr().String())
	if s.TLS.CertFile != "" {
		certificate, err := server.LoadCertificate(s.TLS.CertFile, s.TLS.KeyFile, log)
		if err != nil {
			_ = public.Close()
			return nil, err
		}
		l.public = transport.NewTLSListener(public, certificate.Config())
	}
	if s.OpsListen == "off" {
		return l, nil
	}
	if l.ops, err = lc.Listen(ctx, "tcp", s.OpsListen); err != nil {
		_ = public.Close()
		return nil, fmt.Errorf("ops_listen %s: %w", s.OpsListen, err)
	}
	return l, nil
}

func (l *listeners) opsAddr() string {
	if l.ops == nil {
		return "off"
	}
	return l.ops.Addr().String()
}

// node is what listens, and ends together.
type node struct {
	engine  *hub.Hub
	carrier *transport.Transport
	front   *server.Server
	ops     http.Handler
	log     *slog.Logger
}

// run serves both listeners until ctx ends or one of them fails.
func (n *node) run(ctx context.Context, l *listeners, grace time.Duration) error {
	public := n.front.HTTPServer()
	operator := &http.Server{Handler: n.ops, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 2)
	go func() { failed <- public.Serve(l.public) }()
	if l.ops != nil {
		go func() { failed <- operator.Serve(l.ops) }()
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	n.log.Info("shutting down", "sockets", n.engine.Connections(), "grace", grace)
	err := n.shutDown(public, grace)
	_ = operator.Close()
	if err != nil {
		n.log.Warn("shut down with work left", "error", err)
	} else {
		n.log.Info("shut down")
	}
	return nil
}

// shutDown makes the node unready, gives balancers a tenth of the grace period
// to notice, then takes no new sockets and closes those there are over what
// remains.
func (n *node) shutDown(public *http.Server, grace time.Duration) error {
	deadline := time.Now().Add(grace)
	n.front.Leave()
	if n.engine.Connections() > 0 {
		time.Sleep(grace / 10)
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline.Add(transport.CloseGrace))
	defer cancel()
	n.front.Refuse()
	drained := n.engine.Drain(ctx, protocol.Reconnect(), grace*7/10)
	finished := public.Shutdown(ctx)
	return errors.Join(drained, finished, n.carrier.Wait(ctx))
}
