package protocol

import (
	"errors"
	"strings"
	"testing"
)

func TestSplitKey(t *testing.T) {
	const token = "0123456789abcdef"
	for _, test := range []struct {
		named, key, token string
		bad               bool
	}{
		{"app-key", "app-key", "", false},
		{"", "", "", false},
		{"app-key~" + token, "app-key", token, false},
		{"app-key~f3a9c3ec-2c35-4b7e-84cd-2c3c5a4fc5e8", "app-key", "f3a9c3ec-2c35-4b7e-84cd-2c3c5a4fc5e8", false},
		{"app-key~" + strings.Repeat("A_z9-", 12) + "abcd", "app-key", strings.Repeat("A_z9-", 12) + "abcd", false},
		{"app-key~", "app-key", "", true},
		{"app-key~" + token[:15], "app-key", "", true},
		{"app-key~" + strings.Repeat("a", 65), "app-key", "", true},
		{"app-key~" + token + "~" + token, "app-key", "", true},
		{"app-key~" + token + " x", "app-key", "", true},
		{"app-key~" + token + "\u00e4", "app-key", "", true},
	} {
		key, got, err := SplitKey(test.named)
		fault := Fault{}
		if test.bad != errors.As(err, &fault) || key != test.key || !test.bad && got != test.token {
			t.Errorf("%q: %q, %q, %v", test.named, key, got, err)
		}
		if test.bad && (fault.Code != CodeUnknownKey || !strings.Contains(fault.Message, "16 to 64")) {
			t.Errorf("%q is refused with %d %s", test.named, fault.Code, fault.Message)
		}
	}
}

func TestResumeFrames(t *testing.T) {
	for want, frame := range map[string][]byte{
		`{"event":"pusher:ping","data":"{}"}`:                                                             PingEventFrame(),
		`{"event":"pusher:resumed","channel":"news","data":"{\"replayed\":3,\"possibly_seen\":1}"}`:       ResumedFrame("news", 3, 1),
		`{"event":"pusher:missed","channel":"private-encrypted-x","data":"{\"since_ms\":1764180000123}"}`: MissedFrame("private-encrypted-x", 1764180000123),
		`{"event":"pusher:missed","channel":"news","data":"{\"since_ms\":null}"}`:                         MissedFrame("news", 0),
		`{"event":"pusher:resumed","channel":"private-encrypted-x","data":"{}"}`:                          BareResumedFrame("private-encrypted-x"),
		`{"event":"pusher:missed","channel":"private-encrypted-x","data":"{}"}`:                           BareMissedFrame("private-encrypted-x"),
	} {
		if got := string(PayloadOf(frame)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := string(NumberedPingFrame(4294967295)); got != "\x89\x0a4294967295" {
		t.Errorf("got %q", got)
	}
}
