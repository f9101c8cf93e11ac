// Package server is the hub's surface to the network: sockets at /app/{key}, the
// signed REST API under /apps/{id}, a welcome page for development, and the
// operator's endpoints on a listener of their own.
package server
