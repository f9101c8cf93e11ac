package transport

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// A tls.Conn keeps two buffers that grow to the largest record and to the largest
// handshake message, and never shrink: after one record of 16 KiB, an idle
// connection costs 17 KiB more. Neither an exported call nor a setting releases
// them. So they are reset here from outside, when they are empty. Where a version
// of Go has no such field, nothing is done; a test tells.
var (
	inputOffset     = bufferOffset("rawInput")
	handshakeOffset = bufferOffset("hand")
)

// keptInput is how large an empty input buffer may stay, in bytes: most clients
// send nothing but small messages.
const keptInput = 600

// bufferOffset returns where a tls.Conn has a bytes.Buffer of that name, and -1
// when it has none.
func bufferOffset(name string) int {
	field, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
	if !ok || field.Type != reflect.TypeFor[bytes.Buffer]() {
		return -1
	}
	return int(field.Offset)
}

// releaseBuffers releases the empty buffers of a connection on which nobody reads.
// The caller has read until nothing was there, so no application data shares
// their memory.
func releaseBuffers(conn *tls.Conn) {
	releaseBuffer(conn, inputOffset, keptInput)
	releaseBuffer(conn, handshakeOffset, 0)
}

func releaseBuffer(conn *tls.Conn, offset, kept int) {
	if b := bufferAt(conn, offset); b != nil && b.Len() == 0 && b.Cap() > kept {
		*b = bytes.Buffer{}
	}
}

// hasPartialRecord says whether the client has sent a part of a record.
func hasPartialRecord(conn *tls.Conn) bool {
	b := bufferAt(conn, inputOffset)
	return b != nil && b.Len() > 0
}

func bufferAt(conn *tls.Conn, offset int) *bytes.Buffer {
	if offset < 0 {
		return nil
	}
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(conn), offset)) //nolint:gosec // the type has been checked
}
