// Package overhttp is the client's side of the HTTP transports xhr_streaming and
// xhr_polling. It makes of them a connection that carries WebSocket frames, so that
// whoever reads and writes those needs to know of nothing else.
package overhttp
