package main

import (
	"log/slog"
	"net/netip"
	"strconv"
	"time"

	"channels/hub"
)

// Settings are all that the server can be told. They come, in this order of
// precedence, from flags, the environment, a file, and the defaults.
type Settings struct {
	Listen        string // address of the public listener
	OpsListen     string // address of the operator's listener; "off" = none
	OpsToken      string // for the operator's listener; "" = none; never logged
	OpsPprof      bool   // serve profiles to other machines too
	SoketiMetrics bool   // show the metrics that Soketi has under its names too
	Redis         string // URL; "" = one node, all in memory
	Advertise     string // address by which other nodes reach this one; "" = what is found out, "off" = none
	ShutdownGrace time.Duration
	Config        string // the file that they come from, too; "" = none
	FileApps      bool   // the file names the apps, right or wrong
	LogLevel      slog.Level
	LogFormat     string // "text" or "json"
	TLS           TLS
	Limits        Limits
	Apps          []hub.App

	Data                 string // directory for webhooks of a single node; "" = in memory
	WebhooksAllowPrivate bool   // endpoints may be in private networks
	WebhooksCAFile       string // who else may sign their certificates; "" = nobody

	PublicHostname string         // by which clients over HTTP reach this node and no other one; "" = there is none
	TrustedProxies []netip.Prefix // believed about addresses and schemes of clients
	ProxyProtocol  bool           // every public connection begins with a PROXY header
}

// TLS names the files of the certificate, in PEM form. Without them the public
// listener speaks plain HTTP.
type TLS struct {
	CertFile string
	KeyFile  string
}

// Limits are those of the node; those of an app stand in hub.App.
type Limits struct {
	MaxConnections                int // 0 = what the open-file limit allows
	MaxQueueBytesPerConnection    int
	MaxQueueBytes                 int
	MailboxBytes                  int
	HandshakesPerSecondPerAddress int // 0 = no limit
	RequestsPerSecond             int // of one app; 0 = no limit
	MaxRequestBytes               int // 0 = what the app's limits allow at most
}

// LogValue shows the settings in logs, without secrets.
func (s Settings) LogValue() slog.Value {
	apps := make([]any, len(s.Apps))
	for i, app := range s.Apps {
		apps[i] = slog.Any(strconv.Itoa(i), app)
	}
	return slog.GroupValue(
		slog.String("listen", s.Listen), slog.String("ops_listen", s.OpsListen), slog.Group("apps", apps...))
}
