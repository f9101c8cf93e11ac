// Package target is the server under test as an application's server sees it:
// where it is, how to publish over its REST API, and who signs subscribes.
package target
