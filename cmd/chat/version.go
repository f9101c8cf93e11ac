package main

import "runtime/debug"

// release is set by the linker, see the Makefile.
var release string

// version is the release, or what Go knows of the build.
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
