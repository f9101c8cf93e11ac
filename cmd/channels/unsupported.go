package main

import "errors"

// The names below are fixed, but this version does not do yet what they ask for.
// Saying so beats a server that seems to.
const (
	redisUnsupported    = "several nodes over Redis are not supported by this version"
	webhooksUnsupported = "webhooks are not supported by this version"
)

// unsupported is a setting that can only be left empty.
type unsupported struct{ problem string }

func (v unsupported) set(s string) error {
	if s != "" {
		return errors.New(v.problem)
	}
	return nil
}
func (v unsupported) String() string { return "" }
