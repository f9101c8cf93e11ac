package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"channels/hub"
	"channels/hub/api"
	"channels/hub/ops"
	"channels/hub/refusals"
	"channels/hub/server"
	"channels/hub/transport"
	"channels/hub/transport/fallback"
	"channels/hub/webhook"
	"channels/protocol"
)

// serve runs the server until ctx ends, and then shuts it down within the grace
// period. load reads the settings again.
func serve(ctx context.Context, s Settings, load func() (Settings, error), strays []strayVariable, stderr io.Writer) error {
	level := new(slog.LevelVar)
	level.Set(s.LogLevel)
	log := newLogger(s.LogFormat, level, stderr)
	reload := &reloader{load: load, log: log, level: level}
	reload.current.Store(&s)
	defer onHangup(func() { _, _ = reload.reload("SIGHUP") })()
	files, limitErr := raiseFileLimit()
	ceiling := connectionCeiling(files, s.Limits.MaxConnections)
	open := openConnections(files)

	metrics := ops.NewMetrics()
	backend, err := openBackend(ctx, s, metrics, log)
	if err != nil {
		return err
	}
	defer backend.close()
	refused := refusals.New(log)
	engine := hub.New(hub.Options{
		Apps:           s.Apps,
		Bus:            backend.bus,
		State:          backend.state,
		MailboxBytes:   s.Limits.MailboxBytes,
		MaxHeldBytes:   s.Limits.MaxQueueBytesPerConnection,
		MaxConnections: ceiling,
		Delivered:      metrics.Delivered,
		Refused:        tellRefused(refused),
	})
	defer engine.Close()
	backend.engine.Store(engine)
	roots, err := webhookRoots(s.WebhooksCAFile)
	if err != nil {
		return fmt.Errorf("webhooks_ca_file: %w", err)
	}
	webhooks := webhook.Start(webhook.Options{
		Apps: s.Apps, Store: backend.occurrences, Log: log, AllowPrivate: s.WebhooksAllowPrivate, Roots: roots,
	})
	defer webhooks.Close()
	if s.Redis != "" {
		reload.agreement = newAgreement(backend.bus, func() []hub.App { return reload.current.Load().Apps }, log)
		metrics.Registry().MustRegister(reload.agreement)
	}
	reload.begin(engine, webhooks, backend)
	metrics.Registry().MustRegister(webhookCollector{webhooks}, reload)

	certificate, err := loadCertificate(s.TLS, log)
	if err != nil {
		return err
	}
	budget := hub.NewQueueBudget(int64(s.Limits.MaxQueueBytes))
	carrier := transport.New(transport.Options{
		Hub:        engine,
		Log:        log,
		QueueBytes: s.Limits.MaxQueueBytesPerConnection,
		Budget:     budget,
	})
	between := server.PeerTransport(certificate, s.ProxyProtocol)
	defer between.CloseIdleConnections()
	overHTTP := fallback.New(fallback.Options{
		Hub:            engine,
		Log:            log,
		QueueBytes:     s.Limits.MaxQueueBytesPerConnection,
		Budget:         budget,
		Peers:          backend.peers.forSessions(),
		PeerTransport:  between,
		PublicHostname: s.PublicHostname,
	})
	rest := api.New(api.Options{
		Hub:               engine,
		Log:               log,
		Refusals:          refused,
		MaxRequestBytes:   s.Limits.MaxRequestBytes,
		RequestsPerSecond: s.Limits.RequestsPerSecond,
	})
	front := server.New(server.Options{
		Hub:                 engine,
		API:                 rest,
		Transport:           carrier,
		Fallback:            overHTTP,
		Log:                 log,
		Refusals:            refused,
		HandshakesPerSecond: s.Limits.HandshakesPerSecondPerAddress,
		TrustedProxies:      s.TrustedProxies,
		ProxyProtocol:       s.ProxyProtocol,

		MaxRequestConnections: min(open, maxRequestConnections),
		MaxOpenConnections:    open,

		Ready:        backend.ready,
		PublicSecret: func() bool { return hasPublicSecret(reload.current.Load().Apps) },
		Welcome:      func() *hub.App { return welcomeApp(reload.current.Load()) },
	})
	l, err := listen(ctx, s, front, certificate)
	if err != nil {
		return err
	}
	defer carrier.Close()
	defer overHTTP.Close()
	advertised, err := backend.peers.advertise(ctx, s, l.public.Addr())
	if err != nil {
		l.close()
		return err
	}
	metrics.Show(ops.Sources{Hub: engine, Queued: budget, API: rest, Refusals: refused, Transport: carrier, Fallback: overHTTP, Soketi: s.SoketiMetrics, Port: l.port})
	log.Info("channels is ready",
		"listen", l.public.Addr().String(), "ops", l.opsAddr(), "version", version(),
		"max_connections", ceiling, "open_files", files, "apps", len(s.Apps), "redis", backend.name, "advertise", advertised)
	for _, each := range strays {
		log.Warn("a variable of the environment is ignored", "variable", each)
	}
	backend.warn(log)
	if limitErr != nil {
		log.Warn("open-file limit not raised", "error", limitErr)
	}
	switch {
	case welcomeApp(&s) != nil:
		log.Info("credentials for development: a page to start from is served", "open", "http://"+l.public.Addr().String())
	case hasPublicSecret(s.Apps):
		log.Warn("an app has the secret for development, which is public: set a secret of your own")
	}
	n := node{engine: engine, carrier: carrier, overHTTP: overHTTP, front: front, log: log,
		ops: ops.Handler(ops.Options{Metrics: metrics, Ready: front.Ready, Impaired: engine.Err, Token: s.OpsToken, Profiles: s.OpsPprof, Webhooks: webhooks.Handler(), Reload: func() (string, error) { return reload.reload("channels reload") }})}
	defer backend.peers.check(ctx, overHTTP)()
	defer reload.agreement.start()()
	defer reload.start(ctx)()
	return n.run(ctx, l, s.ShutdownGrace)
}

// welcomeApp returns the app that the welcome page shows: the only one, when it has
// the secret for development. The listener has a loopback address then.
func welcomeApp(s *Settings) *hub.App {
	if len(s.Apps) != 1 || !hasPublicSecret(s.Apps) {
		return nil
	}
	return &s.Apps[0]
}

// listeners are the server's two ends.
type listeners struct {
	public net.Listener
	tcp    net.Listener // below the public one
	port   string       // of the public one
	ops    net.Listener // nil when switched off
}

func listen(ctx context.Context, s Settings, front *server.Server, certificate *server.Certificate) (*listeners, error) {
	var secure *tls.Config
	if certificate != nil {
		secure = certificate.Config()
	}
	public, err := listenTCP(ctx, s.Listen)
	if err != nil {
		return nil, listenProblem("listen", s.Listen, err)
	}
	l := &listeners{public: front.Listener(public, secure), tcp: public}
	_, l.port, _ = net.SplitHostPort(public.Addr().String())
	if s.OpsListen == "off" {
		return l, nil
	}
	if l.ops, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.OpsListen); err != nil {
		_ = public.Close()
		return nil, listenProblem("ops_listen", s.OpsListen, err)
	}
	return l, nil
}

// listenTCP listens without TCP's keep-alive: sockets are pinged, requests have
// time-outs, and every new connection would pay for four system calls. It is no
// listener of Multipath TCP either, to which the kernel attaches no filter.
func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: -1}
	config.SetMultipathTCP(false)
	return config.Listen(ctx, "tcp", address)
}

// listenProblem says why an address cannot be listened on, and what to do.
func listenProblem(setting, address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: %s: the port is in use: end the program that listens there, or choose another port (0 = any that is free)", setting, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: %s: this machine does not have that address; 0.0.0.0 stands for all that it has", setting, address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: %s: only root may listen on ports below 1024, or who has CAP_NET_BIND_SERVICE", setting, address)
	}
	return fmt.Errorf("%s: %w", setting, err)
}

// loadCertificate returns nil when the public listener speaks plain HTTP.
func loadCertificate(t TLS, log *slog.Logger) (*server.Certificate, error) {
	if t.CertFile == "" {
		return nil, nil
	}
	return server.LoadCertificate(t.CertFile, t.KeyFile, log)
}

// close is for listeners that nothing serves.
func (l *listeners) close() {
	_ = l.public.Close()
	if l.ops != nil {
		_ = l.ops.Close()
	}
}

func (l *listeners) opsAddr() string {
	if l.ops == nil {
		return "off"
	}
	return l.ops.Addr().String()
}

// node is what listens, and ends together.
type node struct {
	engine   *hub.Hub
	carrier  *transport.Transport
	overHTTP *fallback.Transport
	front    *server.Server
	ops      http.Handler
	log      *slog.Logger
}

// run serves both listeners until ctx ends or one of them fails.
func (n *node) run(ctx context.Context, l *listeners, grace time.Duration) error {
	public := n.front.HTTPServer()
	operator := opsServer(n.ops, n.log)
	go giveBackSpareMemory(ctx)
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
	err := n.shutDown(public, l, grace)
	_ = operator.Close()
	if err != nil {
		n.log.Warn("shut down with work left", "error", err)
	} else {
		n.log.Info("shut down")
	}
	return nil
}

// opsServer returns a server for the operator's listener. What it logs is sorted as
// for the public one.
func opsServer(handler http.Handler, log *slog.Logger) *http.Server {
	s := ops.Server(handler, log)
	s.ErrorLog = server.ErrorLog(log)
	return s
}

// shutDown makes the node unready, and gives balancers a tenth of the grace period
// to notice, also when there are no sockets: publishers come through balancers too.
// Then it takes no new sockets, closes those that there are over what remains, and
// says farewell to those who make requests.
func (n *node) shutDown(public *http.Server, l *listeners, grace time.Duration) error {
	deadline := time.Now().Add(grace)
	n.front.StartDraining()
	time.Sleep(grace / 10)
	ctx, cancel := context.WithDeadline(context.Background(), deadline.Add(transport.CloseGrace))
	defer cancel()
	n.front.CloseToSockets()
	n.overHTTP.Leave(grace * 7 / 10)
	drained := n.engine.Drain(ctx, protocol.Reconnect(), grace*7/10)
	told := n.overHTTP.Wait(ctx) // clients between two requests come back for their close frame
	sayFarewell(l, n.front.HasServed(), grace)
	finished := public.Shutdown(ctx)
	return errors.Join(drained, told, finished, n.carrier.Wait(ctx))
}
