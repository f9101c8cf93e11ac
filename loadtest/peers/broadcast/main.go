// Broadcast is a server as one would write it in an hour with coder/websocket: a
// goroutine that reads and one that writes for each connection, a channel
// between, and the library's Write. It knows public channels only and checks no
// signature. It is what the project's server is compared with.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"

	"github.com/coder/websocket"
)

// queued is how many messages wait for a connection.
const queued = 1024

type server struct {
	mu       sync.Mutex
	channels map[string]map[chan []byte]struct{}
}

func main() {
	s := &server{channels: map[string]map[chan []byte]struct{}{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /app/{key}", s.socket)
	mux.HandleFunc("POST /apps/{id}/events", s.events)
	log.Fatal(http.ListenAndServe(os.Args[1], mux)) //nolint:gosec // an example without time limits
}

func (s *server) socket(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow() //nolint:errcheck // it is over
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := make(chan []byte, queued)
	go func() {
		defer cancel()
		for {
			select {
			case m := <-out:
				if ws.Write(ctx, websocket.MessageText, m) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	out <- fmt.Appendf(nil, `{"event":"pusher:connection_established","data":"{\"socket_id\":\"%d.%d\",\"activity_timeout\":120}"}`, rand.Uint32(), rand.Uint32())
	for {
		_, message, err := ws.Read(ctx)
		if err != nil {
			return
		}
		var m struct {
			Event string
			Data  struct{ Channel string }
		}
		if json.Unmarshal(message, &m) == nil && m.Event == "pusher:subscribe" {
			s.subscribe(m.Data.Channel, out)
			defer s.leave(m.Data.Channel, out)
			out <- fmt.Appendf(nil, `{"event":"pusher_internal:subscription_succeeded","channel":%q,"data":"{}"}`, m.Data.Channel)
		}
	}
}

func (s *server) subscribe(channel string, out chan []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.channels[channel] == nil {
		s.channels[channel] = map[chan []byte]struct{}{}
	}
	s.channels[channel][out] = struct{}{}
}

func (s *server) leave(channel string, out chan []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.channels[channel], out)
}

func (s *server) events(w http.ResponseWriter, r *http.Request) {
	var e struct {
		Name     string   `json:"name"`
		Channels []string `json:"channels"`
		Data     string   `json:"data"`
	}
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, channel := range e.Channels {
		message, err := json.Marshal(map[string]string{"event": e.Name, "channel": channel, "data": e.Data})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		for out := range s.channels[channel] {
			select {
			case out <- message:
			default: // it is too slow, and loses the event
			}
		}
		s.mu.Unlock()
	}
	fmt.Fprint(w, "{}")
}
