package main

// connectionCeiling is how many sockets the node takes: what the open-file limit
// leaves, or less if so configured. A hundred files and one in twenty are kept
// for REST calls, logs and Redis.
func connectionCeiling(files, configured int) int {
	ceiling := max(files-files/20-100, 1)
	if configured > 0 {
		return min(configured, ceiling)
	}
	return ceiling
}

// maxRequestConnections bounds the connections that are no sockets, of which each
// takes about 16 KiB.
const maxRequestConnections = 4096

// openConnections is how many connections the public listener has open at most,
// sockets among them: what the open-file limit leaves. Fifty files and one in a
// hundred are kept for the operator's listener, logs and Redis.
func openConnections(files int) int { return max(files-files/100-50, 8) }
