package hub

import (
	"reflect"
	"testing"
)

func TestProgress(t *testing.T) {
	p := progress{
		ended: true, until: 1764180000123456,
		ids:    []socketNumbers{numbersOf("2147483647.1099511627775"), numbersOf("1.1")},
		places: []place{{channelHash("a"), 1}, {channelHash("b"), 1764180000123456}, {channelHash("c"), 0}},
	}
	text := p.encode()
	got, err := decodeProgress(text)
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("got %+v, %v, want %+v", got, err, p)
	}
	if got.ids[0].String() != "2147483647.1099511627775" {
		t.Errorf("the socket id is %s", got.ids[0])
	}
	// With its owner and the mark that it is the owner's own: what the State keeps of a client.
	if size := len(text) + 17; size > 128 {
		t.Errorf("the mark of a client with three channels has %d bytes", size)
	}
}

func FuzzDecodeProgress(f *testing.F) {
	p := progress{ids: []socketNumbers{{1, 2}}, places: []place{{3, 4}}}
	f.Add(p.encode())
	f.Add([]byte{})
	f.Add([]byte{progressFormat, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := decodeProgress(text)
		if err != nil {
			return
		}
		again, err := decodeProgress(p.encode())
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%q: %+v, and then %+v, %v", text, p, again, err)
		}
	})
}
