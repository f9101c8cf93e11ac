module channels

go 1.26.8

require (
	github.com/coder/websocket v1.8.15 // indirect
	github.com/pusher/pusher-http-go/v5 v5.1.1 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/crypto v0.0.0-20200709230013-948cd5f35899 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)
