package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"channels/hub/server"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue returns a certificate for names, from files with its chain.
func (a *authority) issue(names ...string) *server.Certificate {
	a.t.Helper()
	key := newKey(a.t)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: names, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	chain := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...)
	dir := a.t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, text := range map[string][]byte{certFile: chain, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	certificate, err := server.LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		a.t.Fatal(err)
	}
	return certificate
}

// TestPeerTransport has nodes that are set up alike reach each other, and others not.
func TestPeerTransport(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	certificate := ours.issue("channels.example")
	for name, test := range map[string]struct {
		theirs, own *server.Certificate
		proxied     bool
		fails       bool
	}{
		"plain":                   {},
		"PROXY headers":           {proxied: true},
		"the same certificate":    {theirs: certificate, own: certificate},
		"TLS and PROXY headers":   {theirs: certificate, own: certificate, proxied: true},
		"a newer certificate":     {theirs: ours.issue("channels.example", "other.example"), own: certificate},
		"another name":            {theirs: ours.issue("other.example"), own: certificate, fails: true},
		"another authority":       {theirs: other.issue("channels.example"), own: certificate, fails: true},
		"a wildcard":              {theirs: ours.issue("*.example"), own: ours.issue("*.example")},
		"plain, where TLS is":     {theirs: certificate, fails: true},
		"TLS, where it is plain":  {own: certificate, fails: true},
		"a name that is expected": {theirs: ours.issue("localhost"), own: certificate},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, func(o *options) {
				if test.theirs != nil {
					o.secure = test.theirs.Config()
				}
				if test.proxied {
					withProxyProtocol(o)
				}
			})
			between := server.PeerTransport(test.own, test.proxied)
			defer between.CloseIdleConnections()
			scheme, host := "http", r.addr
			if test.own != nil {
				scheme = "https"
			}
			if name == "a name that is expected" {
				host = "localhost" + r.addr[len("127.0.0.1"):]
			}
			res, err := (&http.Client{Transport: between}).Get(scheme + "://" + host + "/pusher/info")
			if err == nil {
				_ = res.Body.Close()
			}
			if failed := err != nil || res.StatusCode != http.StatusOK; failed != test.fails {
				t.Errorf("got %v, %v; want a failure: %t", res, err, test.fails)
			}
		})
	}
}
