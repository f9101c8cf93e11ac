package main

import (
	"channels/hub"
)

// setting is one thing that can be set: its name in the file, from which the
// names of its flag and its environment variable follow, its default, what it
// means, and the field that it fills.
type setting[T any] struct {
	name     string // in the file; nested names are separated by dots
	env      string // environment variable; "" = as the name says
	flag     bool   // can be given as a flag
	fallback string // default, as it would be written
	meaning  string
	secret   bool
	field    func(*T) value
}

// serverSettings are those of the whole server.
func serverSettings() []setting[Settings] {
	return []setting[Settings]{
		{name: "listen", flag: true, fallback: "127.0.0.1:6001", meaning: "address for sockets and the REST API",
			field: func(s *Settings) value { return address{&s.Listen} }},
		{name: "ops_listen", flag: true, fallback: "127.0.0.1:9601", meaning: "address for /metrics, /livez, /readyz and /debug/pprof/; off = none",
			field: func(s *Settings) value { return address{&s.OpsListen} }},
		{name: "ops_token", meaning: "token that /metrics and /debug/pprof/ want, as Authorization: Bearer; none = everybody who reaches ops_listen may see them",
			secret: true, field: func(s *Settings) value { return bearer{&s.OpsToken} }},
		{name: "ops_pprof", fallback: "false", meaning: "serve /debug/pprof/ to other machines too, not to this one only",
			field: func(s *Settings) value { return boolean{&s.OpsPprof} }},
		{name: "soketi_metrics", fallback: "false", meaning: "also show, under Soketi's names, the metrics that Soketi has, for its dashboards",
			field: func(s *Settings) value { return boolean{&s.SoketiMetrics} }},
		{name: "redis", env: "CHANNELS_REDIS_URL", flag: true, meaning: "URL of the Redis that nodes share; none = one node, all in memory",
			secret: true, field: func(s *Settings) value { return redisURL{&s.Redis} }},
		{name: "advertise", flag: true, meaning: "host:port by which other nodes reach this one, for clients without WebSockets; none = that of listen, or of the interface that reaches Redis; off = nodes do not forward requests",
			field: func(s *Settings) value { return advertised{&s.Advertise} }},
		{name: "public_hostname", meaning: "name by which clients reach this node and no other one; those without WebSockets are told to stay there",
			field: func(s *Settings) value { return hostname{&s.PublicHostname} }},
		{name: "data", flag: true, meaning: "directory in which a node without Redis keeps webhooks that have not arrived; none = in memory only",
			field: func(s *Settings) value { return text{&s.Data} }},
		{name: "webhooks_allow_private", fallback: "false", meaning: "webhooks may be sent to this machine and to private networks",
			field: func(s *Settings) value { return boolean{&s.WebhooksAllowPrivate} }},
		{name: "webhooks_ca_file", meaning: "certificates, PEM, of who else may sign those of endpoints, beside the system's",
			field: func(s *Settings) value { return file{&s.WebhooksCAFile} }},
		{name: "shutdown_grace", flag: true, fallback: "10s", meaning: "time over which sockets are closed at shutdown",
			field: func(s *Settings) value { return duration{&s.ShutdownGrace, 0} }},
		{name: "log_level", flag: true, fallback: "info", meaning: "debug, info, warn or error",
			field: func(s *Settings) value { return level{&s.LogLevel} }},
		{name: "log_format", flag: true, fallback: "text", meaning: "text or json",
			field: func(s *Settings) value { return oneOf{&s.LogFormat, []string{"text", "json"}} }},
		{name: "trusted_proxies", fallback: "127.0.0.0/8,::1/128", meaning: "addresses and networks of proxies that are believed about the address and the scheme of a client",
			field: func(s *Settings) value { return networks{&s.TrustedProxies} }},
		{name: "proxy_protocol", fallback: "false", meaning: "every connection must begin with a PROXY header, version 1 or 2, and come from a trusted proxy",
			field: func(s *Settings) value { return boolean{&s.ProxyProtocol} }},
		{name: "tls.cert_file", meaning: "certificate, PEM; reloaded when it changes",
			field: func(s *Settings) value { return file{&s.TLS.CertFile} }},
		{name: "tls.key_file", meaning: "its private key, PEM",
			field: func(s *Settings) value { return file{&s.TLS.KeyFile} }},
		{name: "limits.max_connections", fallback: "0", meaning: "sockets of the node; 0 = what the open-file limit allows",
			field: func(s *Settings) value { return count{&s.Limits.MaxConnections, 0} }},
		{name: "limits.max_queue_bytes_per_connection", fallback: "1MiB", meaning: "queued for a client that reads slowly, before it is closed",
			field: func(s *Settings) value { return size{&s.Limits.MaxQueueBytesPerConnection, 64 << 10} }},
		{name: "limits.max_queue_bytes", fallback: "512MiB", meaning: "queued for all clients together",
			field: func(s *Settings) value { return size{&s.Limits.MaxQueueBytes, 1 << 20} }},
		{name: "limits.mailbox_bytes", fallback: "64MiB", meaning: "events waiting to be delivered, before publishes are refused",
			field: func(s *Settings) value { return size{&s.Limits.MailboxBytes, 1 << 20} }},
		{name: "limits.handshakes_per_second_per_address", fallback: "0", meaning: "connections that one address may open in a second; 0 = no limit",
			field: func(s *Settings) value { return count{&s.Limits.HandshakesPerSecondPerAddress, 0} }},
		{name: "limits.requests_per_second", fallback: "0", meaning: "REST calls of one app in a second; 0 = no limit",
			field: func(s *Settings) value { return count{&s.Limits.RequestsPerSecond, 0} }},
		{name: "limits.max_request_bytes", fallback: "0", meaning: "body of a REST call; 0 = what the app's limits can need",
			field: func(s *Settings) value { return size{&s.Limits.MaxRequestBytes, 0} }},
	}
}

// appSettings are those of one app. id, key and secret are flags too, for the
// single app of the environment.
func appSettings() []setting[hub.App] {
	return []setting[hub.App]{
		{name: "id", flag: true, fallback: "1", meaning: "id, in the paths of the REST API; SDKs want digits",
			field: func(a *hub.App) value { return appID{&a.ID} }},
		{name: "key", flag: true, fallback: "app-key", meaning: "public key, in the URLs of sockets",
			field: func(a *hub.App) value { return appKey{&a.Key} }},
		{name: "secret", flag: true, fallback: "app-secret", meaning: "secret that signs; a flag shows it to other users of the machine, so use the environment or the file; the default is for development on loopback addresses only",
			secret: true, field: func(a *hub.App) value { return required{&a.Secret} }},
		{name: "secrets", meaning: "instead of secret, to change it without an outage: the new one, then those that are still accepted",
			secret: true, field: func(a *hub.App) value { return secrets{a} }},
		{name: "disabled", fallback: "false", meaning: "refuse sockets with 4003 and REST calls with 403",
			field: func(a *hub.App) value { return boolean{&a.Disabled} }},
		{name: "force_tls", fallback: "false", meaning: "refuse plain sockets with 4000",
			field: func(a *hub.App) value { return boolean{&a.ForceTLS} }},
		{name: "client_events", fallback: "true", meaning: "relay client events (whispers)",
			field: func(a *hub.App) value { return boolean{&a.ClientEvents} }},
		{name: "client_event_data", fallback: "string", meaning: "string: their data as a JSON string, which every SDK can read; raw: as it was sent",
			field: func(a *hub.App) value {
				return oneOf{(*string)(&a.ClientEventData), []string{"string", "raw"}}
			}},
		{name: "subscription_count_events", fallback: "false", meaning: "tell subscribers how many they are",
			field: func(a *hub.App) value { return boolean{&a.SubscriptionCountEvents} }},
		{name: "watchlists", fallback: "true", meaning: "tell users who of their watchlist is online",
			field: func(a *hub.App) value { return boolean{&a.Watchlists} }},
		{name: "authorized_connections", fallback: "false", meaning: "close sockets that neither sign in nor subscribe to a private or presence channel",
			field: func(a *hub.App) value { return boolean{&a.AuthorizedConnections} }},
		{name: "authorized_timeout", fallback: "30s", meaning: "time they have for that",
			field: func(a *hub.App) value { return duration{&a.AuthorizedTimeout, minTimeout} }},
		{name: "max_connections", fallback: "0", meaning: "sockets at once; 0 = no limit",
			field: func(a *hub.App) value { return count{&a.MaxConnections, 0} }},
		{name: "max_channels_per_connection", fallback: "300", meaning: "channels that a connection may subscribe to; 0 = no limit",
			field: func(a *hub.App) value { return count{&a.MaxChannelsPerConnection, 0} }},
		{name: "commands_per_second", fallback: "100", meaning: "messages of all kinds that a connection may send in a second; 0 = no limit",
			field: func(a *hub.App) value { return count{&a.CommandsPerSecond, 0} }},
		{name: "allowed_origins", meaning: "pages that may connect: origins, hosts, or *.hosts; empty = any",
			field: func(a *hub.App) value { return origins{&a.AllowedOrigins} }},
		{name: "max_event_bytes", fallback: "10240", meaning: "data of an event",
			field: func(a *hub.App) value { return size{&a.MaxEventBytes, 1} }},
		{name: "max_channels_per_event", fallback: "100", meaning: "channels of a trigger",
			field: func(a *hub.App) value { return count{&a.MaxChannelsPerEvent, 1} }},
		{name: "max_batch", fallback: "10", meaning: "events of a batch",
			field: func(a *hub.App) value { return count{&a.MaxBatch, 1} }},
		{name: "max_presence_members", fallback: "100", meaning: "distinct users of a presence channel",
			field: func(a *hub.App) value { return count{&a.MaxPresenceMembers, 1} }},
		{name: "max_presence_member_bytes", fallback: "1024", meaning: "channel_data of a member",
			field: func(a *hub.App) value { return size{&a.MaxPresenceMemberBytes, 1} }},
		{name: "client_events_per_second", fallback: "10", meaning: "client events of a connection in a second; 0 = no limit",
			field: func(a *hub.App) value { return count{&a.ClientEventsPerSecond, 0} }},
		{name: "events_per_second", fallback: "0", meaning: "events published over REST in a second; 0 = no limit",
			field: func(a *hub.App) value { return count{&a.EventsPerSecond, 0} }},
		{name: "compression", fallback: "1KiB", meaning: "size from which an event is compressed for clients that offer it; off = never",
			field: func(a *hub.App) value { return sizeOrOff{size{&a.CompressionMin, 0}} }},
		{name: "history.events", fallback: "0", meaning: "how many events of a channel are kept, the newest; 0 = none",
			field: func(a *hub.App) value { return count{&a.History.Events, 0} }},
		{name: "history.age", fallback: "10m", meaning: "for how long they are kept",
			field: func(a *hub.App) value { return duration{&a.History.Age, minTimeout} }},
		{name: "history.bytes", fallback: "256KiB", meaning: "how many bytes of a channel's events are kept",
			field: func(a *hub.App) value { return size{&a.History.Bytes, 1} }},
		{name: "history.total", fallback: "256MiB", meaning: "how many bytes of all the app's channels are kept; over that its events are refused",
			field: func(a *hub.App) value { return size{&a.History.Total, 1} }},
		{name: "history.prefix", meaning: "channels of which events are kept: those whose names start so; none = all",
			field: func(a *hub.App) value { return text{&a.History.Prefix} }},
		{name: "resume", fallback: "0s", meaning: "for how long a client with a token behind its key may be away and then gets what it has missed; 0s = no client does",
			field: func(a *hub.App) value { return duration{&a.Resume, 0} }},
		{name: "presence_grace", fallback: "0s", meaning: "for how long a member of a presence channel is kept whose connection has broken",
			field: func(a *hub.App) value { return duration{&a.PresenceGrace, 0} }},
		{name: "activity_timeout", fallback: "120s", meaning: "silence after which either side sends a ping",
			field: func(a *hub.App) value { return duration{&a.ActivityTimeout, minTimeout} }},
		{name: "cache_ttl", fallback: "30m", meaning: "life of a cache channel's last event",
			field: func(a *hub.App) value { return duration{&a.CacheTTL, minTimeout} }},
	}
}
