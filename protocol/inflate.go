package protocol

import (
	"bytes"
	"errors"
	"io"
	"math"
	"sync"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"
)

// inflateTail follows a compressed message: what the sender has removed, and a
// final block, so that the end of the message is the end of the stream.
const inflateTail = deflateTail + "\x01" + deflateTail

// inflater inflates one message at a time.
type inflater struct {
	reader io.Reader // of input; a flate.Resetter
	input  bytes.Reader
	stream []byte // what input reads
}

// inflaters are pooled, since each takes 40 KB.
var inflaters = sync.Pool{New: func() any {
	i := new(inflater)
	i.reader = flate.NewReader(&i.input)
	return i
}}

// Inflate appends the message that is compressed to dst. At most limit bytes are
// accepted, and one more is inflated. The error is a Fault: CodeTooBig for a
// message over the limit, CodeInvalidPayload for what is not compressed as RFC
// 7692 asks, or cut. An empty compressed message is an empty message. Nothing but
// an empty block may follow a final one. Any goroutine.
func Inflate(dst, compressed []byte, limit int) ([]byte, error) {
	if len(compressed) == 0 {
		return dst, nil
	}
	i := inflaters.Get().(*inflater)
	defer i.release()
	i.stream = append(append(i.stream[:0], compressed...), inflateTail...)
	i.input.Reset(i.stream)
	if err := i.reader.(flate.Resetter).Reset(&i.input, nil); err != nil {
		return nil, badCompression()
	}
	return i.read(dst, max(0, min(limit, math.MaxInt32)))
}

// read inflates to the end of the message.
func (i *inflater) read(dst []byte, limit int) ([]byte, error) {
	most := len(dst) + limit + 1
	for {
		dst = grow(dst, 1, most)
		n, err := i.reader.Read(dst[len(dst):min(cap(dst), most)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) == most:
			return nil, Fault{Code: CodeTooBig, Message: tooBig().Reason}
		case errors.Is(err, io.EOF) && i.atEnd():
			return dst, nil
		case err != nil:
			return nil, badCompression()
		}
	}
}

// atEnd says, after a final block, whether it was that of the tail, or one of the
// client with no more than an empty block behind it.
func (i *inflater) atEnd() bool {
	switch rest := i.stream[len(i.stream)-i.input.Len():]; len(rest) {
	case 0, len(inflateTail):
		return true
	case len(inflateTail) + 1:
		return rest[0] == 0
	}
	return false
}

func (i *inflater) release() {
	i.input.Reset(nil)
	if cap(i.stream) <= largestPooled {
		inflaters.Put(i)
	}
}

func badCompression() Fault {
	return Fault{Code: CodeInvalidPayload, Message: "the message is not compressed as permessage-deflate asks"}
}

// Inflate returns the event with its message inflated, which is appended to dst,
// or the fault that ends the reader: the message is over the read limit, is badly
// compressed, or is a text and not UTF-8. An event that is not compressed is
// returned as it is.
func (r *FrameReader) Inflate(dst []byte, ev FrameEvent) FrameEvent {
	if !ev.Compressed {
		return ev
	}
	data, err := Inflate(dst, ev.Data, r.limit)
	if fault := (Fault{}); errors.As(err, &fault) {
		return r.fail(FrameEvent{Kind: FrameFault, Code: fault.Code, Reason: fault.Message})
	}
	data = data[len(dst):]
	if ev.Kind == FrameText && !utf8.Valid(data) {
		return r.fail(notText())
	}
	return FrameEvent{Kind: ev.Kind, Data: data}
}
