// Package api is the signed REST API under /apps/{id}: applications trigger events,
// ask about channels and users, and terminate users' connections.
package api
