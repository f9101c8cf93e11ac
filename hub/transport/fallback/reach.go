package fallback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// nodeHeader says which node has answered another one.
const nodeHeader = "Channels-Node"

// Reach asks this node by the address that it has among its Peers. The error says
// why other nodes do not reach it there.
func (t *Transport) Reach(ctx context.Context, address string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+prefix+"/info", http.NoBody)
	if err != nil {
		return err
	}
	t.sign(r, Client{})
	client := http.Client{Transport: t.peerTransport}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxReceiveBody)) // so that the connection can be used again
	switch node := res.Header.Get(nodeHeader); {
	case node == t.id:
		return nil
	case node != "":
		return errors.New("another node answers there")
	}
	return fmt.Errorf("something else answers there: %s", res.Status)
}
