package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// healthTimeout is how long a server may take to say how it is.
const healthTimeout = 3 * time.Second

// health asks the server with these settings, on this machine, whether it is
// ready. It is what a container's health check runs.
func health(ctx context.Context, s Settings, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	status, answer, err := askOperator(ctx, s, http.MethodGet, "/readyz", 4096)
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(answer))
	if status != http.StatusOK {
		return fmt.Errorf("not ready: %s", text)
	}
	_, err = fmt.Fprintln(stdout, text)
	return err
}

// errNobodyToAsk is for a server without an operator's listener.
var errNobodyToAsk = errors.New("ops_listen is off, so there is nobody to ask")

// askOperator makes a request to the operator's listener of the server with these settings,
// on this machine, and returns the answer, at most so many bytes of it.
func askOperator(ctx context.Context, s Settings, method, path string, most int64) (status int, answer []byte, err error) {
	if s.OpsListen == "off" {
		return 0, nil, errNobodyToAsk
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+reachable(s.OpsListen)+path, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	if s.OpsToken != "" {
		request.Header.Set("Authorization", "Bearer "+s.OpsToken)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(io.LimitReader(response.Body, most))
	return response.StatusCode, answer, err
}

// mostShown bounds what is read of an answer, in bytes.
const mostShown = 1 << 30

// operate has the server with these settings, on this machine, do something, and returns
// its answer. Why it did not is the error.
func operate(ctx context.Context, s Settings, method, path string) ([]byte, error) {
	status, answer, err := askOperator(ctx, s, method, path, mostShown)
	switch {
	case errors.Is(err, errNobodyToAsk):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("no server runs with these settings: %w", err)
	case status != http.StatusOK:
		return nil, errors.New(strings.TrimSpace(string(answer)))
	}
	return answer, nil
}

// reachable is an address under which this machine reaches a listener.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return listen
}
