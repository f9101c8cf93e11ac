// Package account audits deliveries: which events were published, which socket
// received which of them, and what follows from that. It does no I/O.
package account
