package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version of a released binary, set when it is linked.
var release string

// version returns what this binary was built from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return info.Main.Version
}

func versionLine() string {
	return fmt.Sprintf("channels %s %s %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
