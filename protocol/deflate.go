package protocol

import (
	"bytes"
	"compress/flate"
)

// DeflateFrame returns the compressed twin of a text frame, without context
// takeover (RFC 7692); nil where that shrinks it by less than a tenth.
func DeflateFrame(frame []byte) []byte {
	payload := PayloadOf(frame)
	var b bytes.Buffer
	z, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil
	}
	_, _ = z.Write(payload) // a buffer takes everything
	_ = z.Flush()
	deflated := bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
	if len(deflated)*10 > len(payload)*9 {
		return nil
	}
	twin := appendTextHeader(make([]byte, 0, headerLen(len(deflated))+len(deflated)), len(deflated))
	twin[0] |= 0x40 // RSV1
	return append(twin, deflated...)
}
