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

// publisher tells the realtime server what the outbox holds. Telling a row again
// is harmless.
type publisher struct {
	sdk    *pusher.Client
	pusher Pusher
}

// roomNews is the event that says that somebody else wrote in a room.
const eventRoomNews = "room-news"

// roomNews is what eventRoomNews carries.
type roomNews struct {
	Room string `json:"room"`
	Rev  int64  `json:"rev"`
}

// tell tells one row of a stream. members gives the ids of a room's members but
// one. An error that is permanent will not go away by telling it again.
func (p *publisher) tell(ctx context.Context, stream string, row outRow, members func(room, but string) ([]string, error)) error {
	switch row.Kind {
	case outUser:
		return p.sdk.SendToUser(row.Target, row.Event, []byte(row.Payload))
	case outTerminate:
		return p.terminate(ctx, row.Target)
	case outEvent:
		return p.tellRoom(strings.TrimPrefix(stream, roomStream("")), row, members)
	}
	return refusal{fmt.Errorf("the kind %q is unknown", row.Kind)}
}

func (p *publisher) tellRoom(room string, row outRow, members func(room, but string) ([]string, error)) error {
	if err := p.sdk.Trigger(roomChannel(room), row.Event, []byte(row.Payload)); err != nil || row.Event != eventNew {
		return err
	}
	others, err := members(room, row.Target)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(others, maxChannels) {
		for i := range some {
			some[i] = userChannel(some[i])
		}
		if err := p.sdk.TriggerMulti(some, eventRoomNews, roomNews{room, row.Rev}); err != nil {
			return err
		}
	}
	return nil
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

// permanent tells whether telling something again would fail again, whoever
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
