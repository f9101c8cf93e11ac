package target

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"channels/protocol"
)

// Authorizer signs subscribes: with the secret, or by asking the application's
// endpoint as pusher-js does. It may be used by many at once.
type Authorizer struct {
	key, secret string
	endpoint    string
	header      http.Header
	client      *http.Client
}

// NewAuthorizer makes an authorizer. Without an endpoint it signs itself.
func NewAuthorizer(t Target, endpoint string, header http.Header) *Authorizer {
	return &Authorizer{
		key: t.Key, secret: t.Secret, endpoint: endpoint, header: header,
		client: &http.Client{
			Timeout:   30 * time.Second,
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 64},
		},
	}
}

// Signature is what a subscribe carries.
type Signature struct {
	Auth        string `json:"auth"`
	ChannelData string `json:"channel_data,omitempty"`
}

// Authorize signs one subscribe. userID is for presence channels that are signed
// here; an endpoint knows its users itself.
func (a *Authorizer) Authorize(ctx context.Context, socketID, channel, userID string) (Signature, error) {
	needed := strings.HasPrefix(channel, "private-") || strings.HasPrefix(channel, "presence-")
	switch {
	case !needed:
		return Signature{}, nil
	case a.endpoint != "":
		return a.ask(ctx, socketID, channel)
	}
	var s Signature
	if strings.HasPrefix(channel, "presence-") {
		s.ChannelData = `{"user_id":"` + userID + `"}`
	}
	s.Auth = protocol.ChannelAuth(a.key, a.secret, socketID, channel, s.ChannelData)
	return s, nil
}

func (a *Authorizer) ask(ctx context.Context, socketID, channel string) (Signature, error) {
	form := url.Values{"socket_id": {socketID}, "channel_name": {channel}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return Signature{}, fmt.Errorf("ask the auth endpoint: %w", err)
	}
	for name, values := range a.header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := a.client.Do(req)
	if err != nil {
		return Signature{}, fmt.Errorf("ask the auth endpoint: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return Signature{}, fmt.Errorf("read the auth endpoint's answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return Signature{}, fmt.Errorf("the auth endpoint answered %s", res.Status)
	}
	var s Signature
	if err := json.Unmarshal(body, &s); err != nil || s.Auth == "" {
		return Signature{}, fmt.Errorf("the auth endpoint's answer has no auth: %.100s", body)
	}
	return s, nil
}
