// Package api is the signed REST API under /apps/{id}: publishers trigger events
// and ask about channels and users.
package api
