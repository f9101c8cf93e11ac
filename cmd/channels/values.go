package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value fills a field from text, as it is written in a file, the environment or
// a flag. Its errors say what is wanted.
type value interface {
	set(text string) error
	String() string
}

// minTimeout is the shortest of the times that clients are told or given.
const minTimeout = time.Second

type text struct{ to *string }

func (v text) set(s string) error { *v.to = s; return nil }
func (v text) String() string     { return *v.to }

type required struct{ to *string }

func (v required) set(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	*v.to = s
	return nil
}
func (v required) String() string { return *v.to }

type appID struct{ to *string }

func (v appID) set(s string) error {
	if s == "" || strings.ContainsAny(s, "/?# ") {
		return errors.New("must be a number, or other text without slashes and spaces")
	}
	*v.to = s
	return nil
}
func (v appID) String() string { return *v.to }

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
	digits, unit := s, 1
	for suffix, factor := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			digits, unit = strings.TrimSpace(number), factor
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n > (1<<40)/unit {
		return errors.New("must be a number of bytes, such as 65536 or 64KiB")
	}
	if n*unit < v.min {
		return fmt.Errorf("must be at least %d", v.min)
	}
	*v.to = n * unit
	return nil
}
func (v size) String() string { return strconv.Itoa(*v.to) }

// duration is a Go duration, or a number of seconds.
type duration struct {
	to  *time.Duration
	min time.Duration
}

func (v duration) set(s string) error {
	d, err := time.ParseDuration(s)
	if seconds, notNumber := strconv.Atoi(s); notNumber == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil {
		return errors.New("must be a duration, such as 30s or 2m")
	}
	if d < v.min || d > 1000*time.Hour {
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

type file struct{ to *string }

func (v file) set(s string) error {
	if s != "" {
		f, err := os.Open(s)
		if err != nil {
			return fmt.Errorf("must be a file that can be read: %w", err)
		}
		_ = f.Close()
	}
	*v.to = s
	return nil
}
func (v file) String() string { return *v.to }

// origins is a list, separated by commas.
type origins struct{ to *[]string }

func (v origins) set(s string) error {
	var list []string
	for origin := range strings.SplitSeq(s, ",") {
		origin = strings.TrimSpace(origin)
		if origin == "" {
			continue
		}
		if !validOrigin(origin) {
			return fmt.Errorf("must hold origins such as https://example.com, hosts, or *.example.com: %q is none", origin)
		}
		list = append(list, origin)
	}
	*v.to = list
	return nil
}
func (v origins) String() string { return strings.Join(*v.to, ",") }

var hostForm = regexp.MustCompile(`^(\*|(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(:[0-9]+)?$`)

func validOrigin(s string) bool {
	if scheme, host, ok := strings.Cut(s, "://"); ok {
		u, err := url.Parse(scheme + "://x")
		return err == nil && u.Scheme != "" && hostForm.MatchString(host)
	}
	return hostForm.MatchString(s)
}
