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
