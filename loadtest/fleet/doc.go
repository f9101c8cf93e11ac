// Package fleet holds the connections of one process, many thousands of them:
// it opens and subscribes them, and notes what they receive.
package fleet
