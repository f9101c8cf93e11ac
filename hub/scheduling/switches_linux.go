package scheduling

import "os"

// switchedOff says whether a trick is turned off in the environment.
func switchedOff(variable string) bool { return os.Getenv(variable) != "" }
