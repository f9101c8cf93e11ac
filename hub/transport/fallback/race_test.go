//go:build race

package fallback

// inflated is by how much the race detector makes stacks and objects larger.
const inflated = 4
