package main

import "errors"

// The name below is fixed, but this version does not do yet what it asks for.
// Saying so beats a server that seems to.
const webhooksUnsupported = "webhooks are not supported by this version"

// unsupported is a setting that can only be left empty.
type unsupported struct{ problem string }

func (v unsupported) set(s string) error {
	if s != "" {
		return errors.New(v.problem)
	}
	return nil
}
func (v unsupported) String() string { return "" }
