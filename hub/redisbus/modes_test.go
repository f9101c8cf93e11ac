package redisbus_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"channels/hub"
	"channels/hub/contract"
	"channels/hub/redisbus"
)

// suites runs the contracts over nodes on one Redis.
func suites(t *testing.T, url string) {
	t.Helper()
	nodes := func(t *testing.T) []contract.Node { return openNodes(t, url, 3) }
	t.Run("bus", func(t *testing.T) { contract.Bus(t, nodes) })
	t.Run("state", func(t *testing.T) { contract.State(t, nodes) })
	t.Run("hub", func(t *testing.T) { contract.Hub(t, nodes) })
	t.Run("resume", func(t *testing.T) { contract.Resume(t, nodes) })
}

func TestStandalone(t *testing.T) { suites(t, newServer(t).url()) }

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.sock")
	s := newServer(t, "--unixsocket", path)
	contract.Bus(t, func(t *testing.T) []contract.Node { return openNodes(t, "unix://"+path+"?db=3", 2) })
	if got := s.cli("info", "keyspace"); !strings.Contains(got, "db3:") {
		t.Errorf("nothing in database 3: %s", got)
	}
}

func TestCluster(t *testing.T) {
	_, url := newCluster(t, 3, 0)
	suites(t, url)
}

// TestSentinel fails over while nodes are at work, and then runs the contracts
// over what is left.
func TestSentinel(t *testing.T) {
	master := newServer(t, "--repl-diskless-sync-delay", "0")
	newServer(t, "--replicaof", "127.0.0.1", strconv.Itoa(master.port))
	within(t, "the replica is there", func() bool { return strings.Contains(master.cli("info", "replication"), "state=online") })
	var hosts []string
	for range 3 {
		hosts = append(hosts, newSentinel(t, master.port))
	}
	url := "redis+sentinel://" + strings.Join(hosts, ",") + "/mymaster"

	nodes := openNodes(t, url, 2)
	to := hub.Topic{App: "1", Channel: "over"}
	heard := make(chan string, 100)
	followed := make(chan error, 1)
	nodes[1].Bus.Follow(to, receiver{heard}, func(err error) { followed <- err })
	if err := <-followed; err != nil {
		t.Fatal(err)
	}
	master.kill()
	within(t, "publishes fail", func() bool { return publish(nodes[0], to, "refused") != nil })
	within(t, "publishes work again", func() bool { return publish(nodes[0], to, "taken") == nil })
	within(t, "and arrive", func() bool {
		select {
		case text := <-heard:
			return text == "taken"
		default:
			return false
		}
	})
	suites(t, url)
}

func newSentinel(t *testing.T, master int) string {
	t.Helper()
	port, dir := freePort(t), t.TempDir()
	file := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf(`port %d
bind 127.0.0.1
dir %s
logfile %s
sentinel monitor mymaster 127.0.0.1 %d 2
sentinel down-after-milliseconds mymaster 1000
sentinel failover-timeout mymaster 4000
`, port, dir, filepath.Join(dir, "log"), master)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", file, "--sentinel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	within(t, "the sentinel knows the others", func() bool {
		out, _ := exec.Command("redis-cli", "-p", strconv.Itoa(port), "sentinel", "get-master-addr-by-name", "mymaster").Output()
		return strings.Contains(string(out), strconv.Itoa(master))
	})
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// TestManaged runs the contracts over a Redis as it is rented: TLS, a user of one's own
// who has the rights that the documentation names, less INFO, and no CONFIG; no
// default user; no other database.
func TestManaged(t *testing.T) {
	ca, cert, key := certificate(t, t.TempDir())
	port := freePort(t)
	const denied, told = "narrow", "informed"
	args := []string{
		"--tls-port", strconv.Itoa(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca,
		"--databases", "1", "--user", "default", "off",
	}
	rights := leastRights(t)
	args = append(append(args, "--user", told, "on", ">pass word"), rights...)
	args = append(append(args, "--user", denied, "on", ">pass word"), slices.DeleteFunc(slices.Clone(rights), func(right string) bool { return right == "+info" })...)
	newServer(t, args...).waitForPort(port)
	url := func(user, database string) string {
		return fmt.Sprintf("rediss://%s:pass%%20word@127.0.0.1:%d%s?ca_file=%s&cert_file=%s&key_file=%s", user, port, database, ca, cert, key)
	}
	suites(t, url(denied, ""))

	for user, want := range map[string]string{denied: "its maxmemory-policy must be noeviction", told: ""} {
		if got := open(t, url(user, "")+"&prefix="+testPrefix+":rights").Warning(); (got != nil) != (want != "") || got != nil && !strings.Contains(got.Error(), want) {
			t.Errorf("%s: opening warns %v, want %q", user, got, want)
		}
	}
	for what, test := range map[string]struct{ url, want string }{
		"another database":      {url(denied, "/1"), "DB index is out of range"},
		"another prefix":        {url(denied, "") + "&prefix=other", "NOPERM"},
		"the default user":      {strings.Replace(url("", ""), "pass%20word", "", 1), "NOAUTH"},
		"without the authority": {fmt.Sprintf("rediss://%s:pass%%20word@127.0.0.1:%d", denied, port), "certificate"},
	} {
		if err := openFails(t, test.url); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", what, err, test.want)
		}
	}
}

// rightsForm is how the documentation names the rights that are enough.
var rightsForm = regexp.MustCompile("`(~\\{channels:\\* &\\{channels:\\* [^`]*)`")

// leastRights reads them, for the prefix of the tests.
func leastRights(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	found := rightsForm.FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/cluster.md does not name the least rights")
	}
	return strings.Fields(strings.ReplaceAll(string(found[1]), "{channels:", "{"+testPrefix+":"))
}

// openFails returns why a Redis cannot be used.
func openFails(t *testing.T, url string) error {
	t.Helper()
	config, err := redisbus.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := contextFor(time.Second)
	defer cancel()
	b, err := redisbus.Open(short, redisbus.Options{Config: config})
	if err == nil {
		b.Close(context.Background())
	}
	return err
}

// certificate makes one for 127.0.0.1 that signs itself.
func certificate(t *testing.T, dir string) (ca, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert = write("cert.pem", "CERTIFICATE", der)
	return cert, cert, write("key.pem", "PRIVATE KEY", privateDER)
}
