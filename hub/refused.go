package hub

import "channels/protocol"

// Asked is what a client has asked for.
type Asked string

// What clients ask for.
const (
	AskedConnect     Asked = "handshake"
	AskedSubscribe   Asked = "subscribe"
	AskedSignin      Asked = "signin"
	AskedClientEvent Asked = "client_event"
	AskedOther       Asked = "message"
)

// RefusedAsk is something that a client asked for and did not get.
type RefusedAsk struct {
	Asked   Asked
	App     *App
	Fault   protocol.Fault // that the client is told
	Socket  string         // its id; "" = there is none yet
	Address string         // of the client; "" = the transport does not tell it
}

// Addressed is a Socket that knows the address of its client.
type Addressed interface {
	// Address is the client's, with its port where that is known. Any goroutine may
	// call it.
	Address() string
}

// tellRefused tells Options.Refused.
func (h *Hub) tellRefused(asked Asked, app *App, id string, socket Socket, f protocol.Fault) {
	if h.refused == nil {
		return
	}
	r := RefusedAsk{Asked: asked, App: app, Fault: f, Socket: id}
	if a, ok := socket.(Addressed); ok {
		r.Address = a.Address()
	}
	h.refused(r)
}

// refuse answers a client with an error, in its place among the other answers.
func (c *Conn) refuse(asked Asked, err error) {
	f := asFault(err)
	c.hub.tellRefused(asked, c.app(), c.id, c.socket, f)
	c.worker.post(&reply{ofConn{c}, protocol.ErrorFrame(f)})
}

// refuse is Conn.refuse for the worker.
func (w *worker) refuse(c *Conn, asked Asked, f protocol.Fault) {
	w.hub.tellRefused(asked, c.app(), c.id, c.socket, f)
	w.send(c, protocol.ErrorFrame(f))
}
