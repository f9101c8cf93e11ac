//go:build !race

package fallback

const inflated = 1
