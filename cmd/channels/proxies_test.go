package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"channels/hub/server"
)

func TestTrustedProxies(t *testing.T) {
	for name, test := range map[string]struct {
		env, file string
		want      string
	}{
		"by default":        {want: "127.0.0.0/8,::1/128"},
		"a network":         {env: "10.0.0.0/8", want: "10.0.0.0/8"},
		"an address":        {env: "192.0.2.1", want: "192.0.2.1/32"},
		"IPv6":              {env: "2001:db8::1, fd00::/8", want: "2001:db8::1/128,fd00::/8"},
		"bits of a host":    {env: "10.1.2.3/8", want: "10.0.0.0/8"},
		"mapped IPv4":       {env: "::ffff:10.0.0.0/104,::ffff:192.0.2.1", want: "10.0.0.0/8,192.0.2.1/32"},
		"a list":            {file: "trusted_proxies: [10.0.0.0/8, 192.0.2.1]\n", want: "10.0.0.0/8,192.0.2.1/32"},
		"an empty list":     {file: "trusted_proxies: []\n", want: ""},
		"the environment's": {env: "10.0.0.1", file: "trusted_proxies: 10.0.0.2\n", want: "10.0.0.1/32"},
	} {
		t.Run(name, func(t *testing.T) {
			var args []string
			if test.file != "" {
				args = []string{"--config", configFile(t, test.file)}
			}
			s, err := loadSettings(args, environment(map[string]string{"CHANNELS_TRUSTED_PROXIES": test.env}))
			if err != nil {
				t.Fatal(err)
			}
			if got := (networks{&s.TrustedProxies}).String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	for _, wrong := range []string{"proxy.example.com", "10.0.0.0/33", "10.0.0.1:80", "[::1]", "10.0.0", "fe80::1%eth0/64", "::ffff:10.0.0.0/64", "10.0.0.1,x"} {
		_, err := loadSettings(nil, environment(map[string]string{"CHANNELS_TRUSTED_PROXIES": wrong}))
		if err == nil || !strings.Contains(err.Error(), "CHANNELS_TRUSTED_PROXIES: "+wrong+": must hold addresses and networks") {
			t.Errorf("%s: got %v", wrong, err)
		}
	}
}

// TestDefaultProxies holds the table to the default of the server.
func TestDefaultProxies(t *testing.T) {
	s, err := loadSettings(nil, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if want := server.LoopbackProxies(); !slices.Equal(s.TrustedProxies, want) {
		t.Errorf("got %v, want %v", s.TrustedProxies, want)
	}
}

func FuzzNetworks(f *testing.F) {
	for _, seed := range []string{"10.0.0.0/8", "::ffff:10.0.0.0/104", "fe80::1%eth0", ",,", "1/2/3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var all, again []netip.Prefix
		if (networks{&all}).set(text) != nil {
			return
		}
		if err := (networks{&again}).set((networks{&all}).String()); err != nil || !slices.Equal(all, again) {
			t.Errorf("%q is %v, which is read as %v, %v", text, all, again, err)
		}
	})
}

func TestCompressionSetting(t *testing.T) {
	for text, want := range map[string]int{"": 1024, "off": 0, "0": 0, "2KiB": 2048, "100": 100} {
		s, err := loadSettings(nil, environment(map[string]string{"CHANNELS_APP_COMPRESSION": text}))
		if err != nil || s.Apps[0].CompressionMin != want {
			t.Errorf("%q: got %d, %v; want %d", text, s.Apps[0].CompressionMin, err, want)
		}
	}
	_, err := loadSettings(nil, environment(map[string]string{"CHANNELS_APP_COMPRESSION": "on"}))
	if err == nil || !strings.Contains(err.Error(), "CHANNELS_APP_COMPRESSION: on: must be a number of bytes, such as 65536 or 64KiB; or off") {
		t.Errorf("got %v", err)
	}
}
