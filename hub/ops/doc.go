// Package ops is the operator's view of a node: metrics, liveness, readiness and
// profiles.
package ops
