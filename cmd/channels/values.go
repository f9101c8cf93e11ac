package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"channels/hub"
	"channels/hub/redisbus"
)

// value fills a field from text, as it is written in a file, the environment or
// a flag. Its errors say what is wanted.
type value interface {
	set(text string) error
	String() string
}

// minTimeout is the shortest of the times that clients are told or given.
const minTimeout = time.Second

type required struct{ to *string }

func (v required) set(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	*v.to = s
	return nil
}
func (v required) String() string { return *v.to }

// bearer is a token: empty, or what a header may hold.
type bearer struct{ to *string }

func (v bearer) set(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("must be printable ASCII without spaces")
	}
	*v.to = s
	return nil
}
func (v bearer) String() string { return *v.to }

type appID struct{ to *string }

func (v appID) set(s string) error {
	if s == "" || s == "." || s == ".." || !utf8.ValidString(s) || strings.ContainsFunc(s, notInID) {
		return errors.New("must be a number, or other text without slashes and spaces")
	}
	*v.to = s
	return nil
}
func (v appID) String() string { return *v.to }

// notInID holds for what cannot be a part of a path, as an id is one. Everything else
// works there, escaped.
func notInID(c rune) bool { return strings.ContainsRune("/?#", c) || c == ' ' || !unicode.IsPrint(c) }

type appKey struct{ to *string }

var keyForm = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (v appKey) set(s string) error {
	if !keyForm.MatchString(s) {
		return errors.New("must be letters, digits, _ and -")
	}
	*v.to = s
	return nil
}
func (v appKey) String() string { return *v.to }

// redisURL is where Redis is; it holds a password.
type redisURL struct{ to *string }

func (v redisURL) set(s string) error {
	if s != "" {
		if _, err := redisbus.ParseURL(s); err != nil {
			return err
		}
	}
	*v.to = s
	return nil
}
func (v redisURL) String() string { return *v.to }

type boolean struct{ to *bool }

func (v boolean) set(s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("must be true or false")
	}
	*v.to = b
	return nil
}
func (v boolean) String() string { return strconv.FormatBool(*v.to) }

type count struct {
	to  *int
	min int
}

func (v count) set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return errors.New("must be a whole number")
	}
	if n < v.min {
		return fmt.Errorf("must be at least %d", v.min)
	}
	*v.to = n
	return nil
}
func (v count) String() string { return strconv.Itoa(*v.to) }

// size is a number of bytes, or of KiB, MiB or GiB.
type size struct {
	to  *int
	min int
}

func (v size) set(s string) error {
	digits, unit := s, int64(1)
	for suffix, factor := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			digits, unit = strings.TrimSpace(number), factor
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > min(1<<40, math.MaxInt)/unit {
		return errors.New("must be a number of bytes, such as 65536 or 64KiB")
	}
	if n < 0 || n*unit < int64(v.min) {
		return fmt.Errorf("must be at least %d", v.min)
	}
	*v.to = int(n * unit)
	return nil
}
func (v size) String() string { return strconv.Itoa(*v.to) }

// sizeOrOff is a size, where "off" is 0.
type sizeOrOff struct{ size }

func (v sizeOrOff) set(s string) error {
	if s == "off" {
		s = "0"
	}
	if err := v.size.set(s); err != nil {
		return errors.New(err.Error() + "; or off")
	}
	return nil
}

func (v sizeOrOff) String() string {
	if *v.to == 0 {
		return "off"
	}
	return v.size.String()
}

// maxTime bounds all times, far below what would overflow.
const maxTime = 1000 * time.Hour

// duration is a Go duration, or a number of seconds.
type duration struct {
	to  *time.Duration
	min time.Duration
}

func (v duration) set(s string) error {
	d, err := time.ParseDuration(s)
	if seconds, notNumber := strconv.ParseInt(s, 10, 64); notNumber == nil {
		d, err = time.Duration(min(max(seconds, -1), int64(maxTime/time.Second)+1))*time.Second, nil
	}
	if err != nil {
		return errors.New("must be a duration, such as 30s or 2m")
	}
	if d < v.min || d > maxTime {
		return fmt.Errorf("must be between %s and 1000h", v.min)
	}
	*v.to = d
	return nil
}
func (v duration) String() string { return v.to.String() }

type oneOf struct {
	to      *string
	allowed []string
}

func (v oneOf) set(s string) error {
	if !slices.Contains(v.allowed, s) {
		return errors.New("must be " + strings.Join(v.allowed, " or "))
	}
	*v.to = s
	return nil
}
func (v oneOf) String() string { return *v.to }

type level struct{ to *slog.Level }

func (v level) set(s string) error {
	if v.to.UnmarshalText([]byte(s)) != nil {
		return errors.New("must be debug, info, warn or error")
	}
	return nil
}
func (v level) String() string { return strings.ToLower(v.to.String()) }

type address struct{ to *string }

func (v address) set(s string) error {
	if s == "off" {
		*v.to = s
		return nil
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("must be host:port, such as 127.0.0.1:6001 or :6001")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return errors.New("must have a port from 0 to 65535")
	}
	*v.to = s
	return nil
}
func (v address) String() string { return *v.to }

// advertised is an address that can be connected to, "off", or "".
type advertised struct{ to *string }

func (v advertised) set(s string) error {
	if s == "" || s == "off" {
		*v.to = s
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if n, notNumber := strconv.Atoi(port); err != nil || host == "" || notNumber != nil || n < 1 || n > 65535 {
		return errors.New("must be host:port, such as 10.0.0.11:6001, or off")
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return errors.New("must be the address of one machine, such as 10.0.0.11:6001")
	}
	*v.to = s
	return nil
}
func (v advertised) String() string { return *v.to }

// hostname is the name of a machine, without a port, or "".
type hostname struct{ to *string }

var hostnameForm = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`)

func (v hostname) set(s string) error {
	if s != "" && !hostnameForm.MatchString(s) {
		return errors.New("must be the name of a machine, such as node1.example.com, without a scheme and a port")
	}
	*v.to = s
	return nil
}
func (v hostname) String() string { return *v.to }

type file struct{ to *string }

func (v file) set(s string) error {
	*v.to = s // also when it is wrong, so that its counterpart is not blamed
	if s == "" {
		return nil
	}
	if err := readable(s); err != nil {
		return errors.New("must be a file that can be read: " + cause(err))
	}
	return nil
}

// readable opens a file to see whether it can be. A directory, or a pipe, which
// would wait for a writer, is none.
func readable(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("is not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return f.Close()
}
func (v file) String() string { return *v.to }

// list is a value of several items, which a file may write as a list.
type list interface {
	setAll(items []string) error
}

// origins is a list, separated by commas where it is a single text.
type origins struct{ to *[]string }

var _ list = origins{}

func (v origins) set(s string) error { return v.setAll(strings.Split(s, ",")) }

func (v origins) setAll(items []string) error {
	var valid []string
	for _, origin := range items {
		origin = strings.TrimSpace(origin)
		if origin == "" {
			continue
		}
		if !validOrigin(origin) {
			return fmt.Errorf("must hold origins such as https://example.com, hosts, or *.example.com: %q is none", origin)
		}
		valid = append(valid, origin)
	}
	*v.to = valid
	return nil
}
func (v origins) String() string { return strings.Join(*v.to, ",") }

// secrets is a list of an app's secrets, separated by commas where it is a single
// text. An empty one changes nothing.
type secrets struct{ of *hub.App }

var _ list = secrets{}

func (v secrets) set(s string) error {
	if s == "" {
		return nil
	}
	return v.setAll(strings.Split(s, ","))
}

func (v secrets) setAll(items []string) error {
	if len(items) == 0 || slices.Contains(items, "") {
		return errors.New("must be one or more secrets, none of them empty")
	}
	for i, item := range items {
		if item != strings.TrimSpace(item) {
			return errors.New("must be secrets without spaces around them")
		}
		if slices.Contains(items[:i], item) {
			return errors.New("must not name a secret twice")
		}
	}
	v.of.Secret, v.of.OtherSecrets = items[0], slices.Clone(items[1:])
	return nil
}

func (v secrets) String() string {
	if len(v.of.OtherSecrets) == 0 {
		return ""
	}
	return strings.Join(append([]string{v.of.Secret}, v.of.OtherSecrets...), ",")
}

// networks is a list of addresses and networks, separated by commas where it is a
// single text.
type networks struct{ to *[]netip.Prefix }

var _ list = networks{}

func (v networks) set(s string) error { return v.setAll(strings.Split(s, ",")) }

func (v networks) setAll(items []string) error {
	var valid []netip.Prefix
	for _, item := range items {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		prefix, err := parseNetwork(item)
		if err != nil {
			return fmt.Errorf("must hold addresses and networks such as 192.0.2.1 or 10.0.0.0/8: %q is none", item)
		}
		valid = append(valid, prefix)
	}
	*v.to = valid
	return nil
}

func (v networks) String() string {
	all := make([]string, len(*v.to))
	for i, prefix := range *v.to {
		all[i] = prefix.String()
	}
	return strings.Join(all, ",")
}

// parseNetwork takes an address for the network of itself.
func parseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		if address := prefix.Addr(); address.Is4In6() {
			const mapped = 96 // bits that stand before the IPv4 address
			prefix = netip.PrefixFrom(address.Unmap(), prefix.Bits()-mapped)
		}
		if !prefix.IsValid() {
			return netip.Prefix{}, errors.New("not a network of IPv4 addresses")
		}
		return prefix.Masked(), nil
	}
	address, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	address = address.Unmap().WithZone("")
	return netip.PrefixFrom(address, address.BitLen()), nil
}

var (
	schemeForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`)
	hostForm   = regexp.MustCompile(`^((\*\.)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:([0-9]{1,5}))?$`)
)

// validOrigin takes scheme://host[:port] and host[:port], where the host may
// begin with "*.", and "*" alone.
func validOrigin(s string) bool {
	if s == "*" {
		return true
	}
	scheme, host, hasScheme := strings.Cut(s, "://")
	if !hasScheme {
		host = s
	} else if !schemeForm.MatchString(scheme) {
		return false
	}
	parts := hostForm.FindStringSubmatch(host)
	if parts == nil {
		return false
	}
	port, _ := strconv.Atoi(parts[len(parts)-1])
	return port <= 65535
}
