package chatapp

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pusher/pusher-http-go/v5"
)

// sdkPatience is how long one request to the realtime server may take.
const sdkPatience = 5 * time.Second

// maxChannels is how many channels one request names.
const maxChannels = 100

// newSDK makes a client for the realtime server, for many goroutines.
func newSDK(p Pusher) *pusher.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 2 * relayWorkers
	c := &pusher.Client{
		AppID: p.AppID, Key: p.Key, Secret: p.Secret,
		Host: p.address(), Secure: p.Scheme == "https",
		HTTPClient: &http.Client{Transport: transport, Timeout: sdkPatience},
	}
	if p.hosted() {
		c.Cluster, c.Secure = p.Cluster, true
	}
	return c
}

// publisher does with the realtime server what the rows of the outbox say. To
// publish a row again is harmless.
type publisher struct {
	sdk    *pusher.Client
	pusher Pusher
	store  *Store // for the present names of channels
}

// publish publishes one row of a stream. An error that is permanent will not go
// away by doing it again.
func (p *publisher) publish(ctx context.Context, stream string, row outRow) error {
	switch row.Kind {
	case outEvent:
		return p.publishInRoom(ctx, roomOf(stream), row)
	case outMoved:
		return p.sdk.Trigger(row.Target, row.Event, []byte(row.Payload))
	case outNews:
		channels, err := p.channels(ctx, func(ctx context.Context) ([]string, error) {
			return p.store.memberChannels(ctx, roomOf(stream), row.Target)
		})
		if err != nil {
			return err
		}
		return p.publishOn(ctx, channels, row.Event, []byte(row.Payload))
	case outUsers:
		channels, err := p.channels(ctx, func(ctx context.Context) ([]string, error) {
			return p.store.userChannels(ctx, strings.Split(row.Target, ","))
		})
		if err != nil {
			return err
		}
		return p.publishOn(ctx, channels, row.Event, []byte(row.Payload))
	case outTerminate:
		return p.terminate(ctx, row.Target)
	}
	return refusal{fmt.Errorf("the kind %q is unknown", row.Kind)}
}

// roomOf is the room whose stream this is.
func roomOf(stream string) string { return strings.TrimPrefix(stream, roomStream("")) }

// publishInRoom publishes on the room's channel by its present name: whoever can
// only hear an older one hears nothing.
func (p *publisher) publishInRoom(ctx context.Context, room string, row outRow) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	channel, err := p.store.roomChannelNow(ctx, room)
	if err != nil {
		return err
	}
	return p.sdk.Trigger(channel, row.Event, []byte(row.Payload))
}

func (p *publisher) channels(ctx context.Context, look func(context.Context) ([]string, error)) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return look(ctx)
}

// publishOn publishes an event on any number of channels.
func (p *publisher) publishOn(ctx context.Context, channels []string, event string, data any) error {
	for some := range slices.Chunk(channels, maxChannels) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.sdk.TriggerMulti(some, event, data); err != nil {
			return err
		}
	}
	return nil
}

// occupied asks the server whose own channel, by its present name, somebody is
// subscribed to, and returns these channels by user id.
func (p *publisher) occupied(ctx context.Context) (map[string]string, error) {
	prefix := userPrefix
	list, err := p.sdk.Channels(pusher.ChannelsParams{FilterByPrefix: &prefix})
	if err != nil {
		return nil, err
	}
	var users []string
	for name := range list.Channels {
		if user, ok := idIn(name, userPrefix); ok {
			users = append(users, user)
		}
	}
	present, err := p.store.userChannels(ctx, users)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, name := range present {
		if _, ok := list.Channels[name]; ok {
			user, _ := idIn(name, userPrefix)
			found[user] = name
		}
	}
	return found, nil
}

// terminate ends all connections of a user. The SDK has no method for it, so
// that the request is signed here.
func (p *publisher) terminate(ctx context.Context, user string) error {
	const body = "{}"
	path := "/apps/" + p.pusher.AppID + "/users/" + user + "/terminate_connections"
	sum := md5.Sum([]byte(body))
	query := url.Values{
		"auth_key":       {p.pusher.Key},
		"auth_timestamp": {strconv.FormatInt(time.Now().Unix(), 10)},
		"auth_version":   {"1.0"},
		"body_md5":       {hex.EncodeToString(sum[:])},
	}
	mac := hmac.New(sha256.New, []byte(p.pusher.Secret))
	unescaped, err := url.QueryUnescape(query.Encode()) // what is signed is not escaped
	if err != nil {
		return refusal{err}
	}
	_, _ = io.WriteString(mac, "POST\n"+path+"\n"+unescaped)
	query.Set("auth_signature", hex.EncodeToString(mac.Sum(nil)))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.pusher.base()+path+"?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		return refusal{err}
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := p.sdk.HTTPClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	said, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("Status Code: %d - %s", res.StatusCode, said) //nolint:staticcheck // the SDK's words, which permanent reads
	}
	return err
}

// refusal is an error that stays.
type refusal struct{ error }

// permanent tells whether publishing something again would fail again, whoever
// repairs what. Wrong credentials and an unknown app are repaired by settings.
func permanent(err error) bool {
	var r refusal
	if errors.As(err, &r) {
		return true
	}
	var status int
	if _, scanErr := fmt.Sscanf(err.Error(), "Status Code: %d", &status); scanErr != nil {
		return false
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestTimeout,
		http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status/100 == 4
}
