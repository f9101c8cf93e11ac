package redisbus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// mode is how Redis is run.
type mode int

const (
	standalone mode = iota
	sentinel
	cluster
)

// Config says where Redis is and how to use it. ParseURL makes one.
type Config struct {
	mode    mode
	network string
	addrs   []string // of the servers, or of the sentinels
	master  string   // the name that sentinels know
	db      int

	username, password                 string
	sentinelUsername, sentinelPassword string

	tls      *tls.Config // nil = plain
	prefix   string
	logBytes int // that the logs of a partition may have
	// cacheBytes is how many an app's cached events may have in a partition.
	cacheBytes int
}

// ParseURL reads an address:
//
//	redis://[user:password@]host[:port][/db]
//	redis+sentinel://[user:password@]host[:port][,host…]/master[/db]
//	redis+cluster://[user:password@]host[:port][,host…]
//	unix:///path/to/redis.sock
//
// with rediss in place of redis for TLS, and after a question mark: prefix, which
// starts every key (default "channels"); log_bytes, which the logs of each of the 256
// partitions may take in Redis (default 4 MiB); cache_bytes, which an app's cached events
// may take in each (default 4 MiB); db, for a Unix socket; ca_file,
// cert_file, key_file, server_name and skip_verify=true, for TLS;
// sentinel_user and sentinel_password.
func ParseURL(s string) (Config, error) {
	u, err := parseHosts(s)
	if err != nil {
		return Config{}, errors.New("must be a URL such as redis://127.0.0.1:6379") // err may hold the password
	}
	c := Config{network: "tcp", username: u.User.Username()}
	c.password, _ = u.User.Password()
	scheme, kind, _ := strings.Cut(u.Scheme, "+")
	switch {
	case u.Scheme == "unix":
		c.network, c.addrs = "unix", []string{u.Path}
	case scheme != "redis" && scheme != "rediss":
		return Config{}, fmt.Errorf("scheme %q: must be redis, rediss, redis+sentinel, rediss+sentinel, redis+cluster, rediss+cluster or unix", u.Scheme)
	default:
		if err := c.place(kind, u); err != nil {
			return Config{}, err
		}
	}
	return c, c.options(scheme == "rediss", u.Query())
}

// parseHosts is url.Parse for URLs that may name several hosts, each with a port
// or without.
func parseHosts(s string) (*url.URL, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return url.Parse(s)
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	at := strings.LastIndexByte(authority, '@') + 1
	hosts := authority[at:]
	stand := ""
	if hosts != "" {
		stand = "host"
	}
	u, err := url.Parse(scheme + "://" + authority[:at] + stand + path)
	if err == nil {
		u.Host = hosts
	}
	return u, err
}

// place reads hosts and path.
func (c *Config) place(kind string, u *url.URL) error {
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	if path[0] == "" {
		path = nil
	}
	port := "6379"
	switch kind {
	case "":
	case "sentinel":
		c.mode, port = sentinel, "26379"
		if len(path) == 0 {
			return errors.New("a sentinel URL names the master: redis+sentinel://host:26379/mymaster")
		}
		c.master, path = path[0], path[1:]
	case "cluster":
		c.mode = cluster
		if len(path) > 0 {
			return errors.New("a cluster has only database 0, so its URL has no path")
		}
	default:
		return fmt.Errorf("scheme %q: must be redis, redis+sentinel or redis+cluster", u.Scheme)
	}
	if err := c.database(path); err != nil {
		return err
	}
	return c.hosts(strings.Split(u.Host, ","), port)
}

func (c *Config) database(path []string) error {
	if len(path) == 0 {
		return nil
	}
	n, err := strconv.Atoi(path[0])
	if err != nil || n < 0 || len(path) > 1 {
		return fmt.Errorf("path %q: must be the number of a database", strings.Join(path, "/"))
	}
	c.db = n
	return nil
}

func (c *Config) hosts(hosts []string, port string) error {
	for _, host := range hosts {
		if host == "" {
			return errors.New("a host is missing")
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		c.addrs = append(c.addrs, host)
	}
	if c.mode == standalone && len(c.addrs) > 1 {
		return errors.New("several hosts need redis+sentinel or redis+cluster")
	}
	return nil
}

const (
	defaultLogBytes   = 4 << 20
	defaultCacheBytes = 4 << 20
	// minBytes is the least of both.
	minBytes = 64 << 10
)

// prefixForm keeps braces and spaces out of keys.
var prefixForm = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)

// options reads what stands after the question mark.
func (c *Config) options(secure bool, query url.Values) error {
	c.prefix, c.logBytes, c.cacheBytes = "channels", defaultLogBytes, defaultCacheBytes
	var files tlsFiles
	for name := range query {
		value := query.Get(name)
		var err error
		switch name {
		case "prefix":
			c.prefix = value
			if !prefixForm.MatchString(value) {
				err = errors.New("must be letters, digits and _.:- only")
			}
		case "log_bytes":
			c.logBytes, err = bytesOf(value)
		case "cache_bytes":
			c.cacheBytes, err = bytesOf(value)
		case "db":
			err = c.database([]string{value})
		case "sentinel_user":
			c.sentinelUsername = value
		case "sentinel_password":
			c.sentinelPassword = value
		case "ca_file", "cert_file", "key_file", "server_name", "skip_verify":
			err = files.set(name, value)
			if !secure {
				err = errors.New("is for TLS, with the scheme rediss")
			}
		default:
			err = errors.New("is not known; known are prefix, log_bytes, cache_bytes, db, ca_file, cert_file, key_file, server_name, skip_verify, sentinel_user and sentinel_password")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if !secure {
		return nil
	}
	var err error
	c.tls, err = files.config()
	return err
}

// bytesOf reads a bound.
func bytesOf(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < minBytes {
		return 0, fmt.Errorf("must be a number of bytes, %d or more", minBytes)
	}
	return n, nil
}

// tlsFiles are the settings of TLS as they are written.
type tlsFiles struct {
	ca, cert, key, serverName string
	skipVerify                bool
}

func (f *tlsFiles) set(name, value string) (err error) {
	switch name {
	case "ca_file":
		f.ca = value
	case "cert_file":
		f.cert = value
	case "key_file":
		f.key = value
	case "server_name":
		f.serverName = value
	case "skip_verify":
		if f.skipVerify, err = strconv.ParseBool(value); err != nil {
			return errors.New("must be true or false")
		}
	}
	return nil
}

func (f *tlsFiles) config() (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         f.serverName,
		InsecureSkipVerify: f.skipVerify, //nolint:gosec // asked for by name
	}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: no certificate in %s", f.ca)
		}
	}
	if (f.cert == "") != (f.key == "") {
		return nil, errors.New("cert_file and key_file go together")
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("cert_file, key_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// String tells where Redis is, without secrets.
func (c Config) String() string {
	kind := [...]string{"", " (sentinel, master " + c.master + ")", " (cluster)"}[c.mode]
	return strings.Join(c.addrs, ",") + kind
}

// LocalAddr returns the address of this machine from which it reaches Redis. It
// sends nothing.
func (c Config) LocalAddr(ctx context.Context) (netip.Addr, error) {
	if c.network == "unix" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	var errs []error
	for _, addr := range c.addrs {
		conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "udp", addr)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		_ = conn.Close()
		if local, ok := conn.LocalAddr().(*net.UDPAddr); ok {
			return local.AddrPort().Addr().Unmap(), nil
		}
	}
	return netip.Addr{}, errors.Join(errs...)
}

const (
	// commandConns and beatConns bound the connections to a server, and readConns
	// those for questions, of which idleReadConns stay open.
	commandConns  = lanesPerServer + 1
	beatConns     = 2
	readConns     = 4
	idleReadConns = 2
)

// open returns a client for a server, with at most so many connections, of which so
// many stay open when idle. Nothing is tried twice behind our back: a
// publish that was carried out, but whose answer was lost, must not be carried out
// again.
func (c Config) open(addr string, conns, idle int) *redis.Client {
	if c.mode == sentinel {
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: c.master, SentinelAddrs: c.addrs,
			SentinelUsername: c.sentinelUsername, SentinelPassword: c.sentinelPassword,
			Username: c.username, Password: c.password, DB: c.db, TLSConfig: c.tls, Protocol: 2,
			MaxRetries: -1, DialerRetries: 1, DialTimeout: dialTimeout, ReadTimeout: commandTimeout,
			WriteTimeout: writeTimeout, PoolTimeout: poolTimeout, PoolSize: conns, MaxIdleConns: idle, DisableIdentity: true,
		})
	}
	if c.mode == standalone {
		addr = c.addrs[0]
	}
	return redis.NewClient(&redis.Options{
		Network: c.network, Addr: addr,
		Username: c.username, Password: c.password, DB: c.db, TLSConfig: c.tls, Protocol: 2,
		MaxRetries: -1, DialerRetries: 1, DialTimeout: dialTimeout, ReadTimeout: commandTimeout,
		WriteTimeout: writeTimeout, PoolTimeout: poolTimeout, PoolSize: conns, MaxIdleConns: idle, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// openReads returns a client for questions, which in a cluster also knows which
// server has what.
func (c Config) openReads() redis.UniversalClient {
	if c.mode != cluster {
		return c.open("", readConns, idleReadConns)
	}
	return redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: c.addrs, Username: c.username, Password: c.password, TLSConfig: c.tls, Protocol: 2,
		MaxRetries: -1, MaxRedirects: -1, DialerRetries: 1, DialTimeout: dialTimeout, ReadTimeout: commandTimeout,
		WriteTimeout: writeTimeout, PoolTimeout: poolTimeout, PoolSize: readConns, MaxIdleConns: idleReadConns,
		ClusterStateReloadInterval: clusterReload, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}
