package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certificateCheck is how often the files of a certificate are looked at.
const certificateCheck = 10 * time.Second

// Certificate is a certificate from files, which is reloaded when they change.
// While the new one cannot be read, the old one stays.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	loaded            atomic.Pointer[tls.Certificate]

	checking sync.Mutex   // nobody waits for it, since files are read under it
	changed  [2]time.Time // of the files that were loaded
	checked  time.Time
}

// LoadCertificate reads a certificate and its key, in PEM form.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log, checked: time.Now()}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// Config returns a server's configuration with the certificate. It offers
// HTTP/1.1 only, since WebSockets are upgraded from that.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: c.get,
	}
}

// PeerConfig returns a client's configuration for other nodes. Their certificate
// must be the same, or be signed by an authority that this machine trusts, or that
// stands in the chain of this one. Nodes are mostly reached by an address that no
// certificate is for, so the name may also be the first one of this certificate.
func (c *Certificate) PeerConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		InsecureSkipVerify: true, //nolint:gosec // verifyPeer verifies
		VerifyConnection:   c.verifyPeer,
	}
}

func (c *Certificate) verifyPeer(s tls.ConnectionState) error {
	own, theirs := c.loaded.Load(), s.PeerCertificates[0]
	if theirs.Equal(own.Leaf) {
		return nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	for _, der := range own.Certificate[1:] {
		if authority, err := x509.ParseCertificate(der); err == nil {
			roots.AddCert(authority)
		}
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), DNSName: firstName(own.Leaf)}
	for _, each := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(each)
	}
	if s.ServerName != "" && theirs.VerifyHostname(s.ServerName) == nil {
		o.DNSName = s.ServerName
	}
	_, err = theirs.Verify(o)
	return err
}

// firstName returns the first name or address of a certificate, "" when it has none.
func firstName(c *x509.Certificate) string {
	switch {
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case len(c.IPAddresses) > 0:
		return c.IPAddresses[0].String()
	}
	return ""
}

// get is called for every handshake. One of them looks at the files, once in a
// while; meanwhile the others take the certificate that is there.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.checking.TryLock() {
		if now := time.Now(); now.Sub(c.checked) >= certificateCheck {
			c.checked = now
			c.reload()
		}
		c.checking.Unlock()
	}
	return c.loaded.Load(), nil
}

func (c *Certificate) reload() {
	if changed, err := c.modified(); err != nil || changed == c.changed {
		return
	}
	if err := c.load(); err != nil {
		c.log.Error("certificate not reloaded, the old one stays", "error", err)
		return
	}
	c.log.Info("certificate reloaded", "file", c.certFile)
}

func (c *Certificate) load() error {
	changed, err := c.modified()
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	c.changed = changed
	c.loaded.Store(&pair)
	return nil
}

func (c *Certificate) modified() (times [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return times, err
		}
		times[i] = info.ModTime()
	}
	return times, nil
}
