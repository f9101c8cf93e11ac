//go:build linux && !goroutinereaders && !race

package transport

import "testing"

// TestWritingTLSAllocatesNothing is not for the race detector, under which
// pools lose what is put into them.
func TestWritingTLSAllocatesNothing(t *testing.T) { writingAllocatesNothing(t, securePair) }
