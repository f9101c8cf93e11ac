package hub_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"channels/hub"
	"channels/protocol"
)

// deflating is a client that has negotiated permessage-deflate.
type deflating struct{ client }

func (*deflating) Deflates() bool { return true }

func (r *rig) connectDeflating() *deflating {
	r.t.Helper()
	d := &deflating{client{t: r.t}}
	conn, err := r.hub.Connect(r.app, d)
	if err != nil {
		r.t.Fatal(err)
	}
	d.conn = conn
	r.settle()
	d.take()
	return d
}

// inflated takes the frames received, and returns which were compressed and the
// events as plain frames.
func (d *deflating) inflated() (compressed []bool, frames [][]byte) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, frame := range d.frames {
		is := frame[0]&0x40 != 0
		compressed = append(compressed, is)
		if is {
			plain := append([]byte{frame[0] &^ 0x40}, frame[1:]...)
			z := flate.NewReader(io.MultiReader(bytes.NewReader(protocol.PayloadOf(plain)),
				strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
			payload, err := io.ReadAll(z)
			if err != nil {
				d.t.Fatal(err)
			}
			frame = protocol.AppendTextFrame(nil, payload)
		}
		frames = append(frames, frame)
	}
	return compressed, frames
}

func (d *deflating) raw() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	frames := d.frames
	d.frames = nil
	return frames
}

func TestLargeEventsAreCompressedForThoseWhoReadThat(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		var readers []*deflating
		for range 6 { // on all workers
			d := r.connectDeflating()
			d.subscribe("news")
			readers = append(readers, d)
		}
		plain := r.connect()
		plain.subscribe("news")
		r.settle()
		for _, d := range readers {
			d.take()
		}
		plain.take()
		for round := range 3 { // joining, active, and in a run
			for range 1 + 19*(round/2) {
				if err := r.triggerBig("news", "large", 2000); err != nil {
					t.Fatal(err)
				}
				r.trigger("news", "small")
			}
			r.settle()
			var first [][]byte
			for i, d := range readers {
				compressed, frames := d.inflated()
				for j, is := range compressed {
					if is != (j%2 == 0) {
						t.Fatalf("round %d: frame %d compressed: %v", round, j, is)
					}
				}
				if len(frames) != 2*(1+19*(round/2)) || !bytes.Contains(frames[0], []byte(strings.Repeat("x", 2000))) {
					t.Errorf("round %d: %d frames", round, len(frames))
				}
				raw := d.raw()
				if i == 0 {
					first = raw
				}
				for j := range raw {
					if &raw[j][0] != &first[j][0] {
						t.Errorf("round %d: frame %d was made more than once", round, j)
					}
				}
			}
			if events := plain.take(); len(events) != 2*(1+19*(round/2)) || events[0].Event != "large" {
				t.Errorf("round %d: the plain reader got %d events", round, len(events))
			}
		}
	})
}

func TestWhoIsExcludedGetsNoCompressedEventEither(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		a, b := r.connectDeflating(), r.connectDeflating()
		for _, d := range []*deflating{a, b} {
			d.subscribe("news")
			r.settle()
			d.take()
		}
		for range 2 { // joining, and active
			err := r.hub.Trigger(t.Context(), r.app, hub.Event{
				Name: "e", Channels: []string{"news"}, Exclude: a.conn.ID(),
				Data: []byte(`"` + strings.Repeat("x", 2000) + `"`),
			})
			if err != nil {
				t.Fatal(err)
			}
			r.settle()
			if n := len(a.raw()); n != 0 {
				t.Errorf("the excluded one got %d frames", n)
			}
			if frames := b.raw(); len(frames) != 1 || frames[0][0]&0x40 == 0 {
				t.Errorf("the other got %d frames, or plain ones", len(frames))
			}
		}
	})
}

func TestCompressionOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, func(a *hub.App) { a.CompressionMin = 0 })
		d := r.connectDeflating()
		d.subscribe("cache-x")
		if err := r.triggerBig("cache-x", "large", 5000); err != nil {
			t.Fatal(err)
		}
		r.settle()
		for _, frame := range d.raw() {
			if frame[0]&0x40 != 0 {
				t.Error("a frame is compressed")
			}
		}
	})
}

func TestTheCachedEventIsCompressed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, nil)
		if err := r.triggerBig("cache-x", "large", 5000); err != nil {
			t.Fatal(err)
		}
		var cached [][]byte
		for range 4 {
			d := r.connectDeflating()
			d.subscribe("cache-x")
			r.settle()
			frames := d.raw()
			if len(frames) != 2 || frames[0][0]&0x40 != 0 || frames[1][0]&0x40 == 0 {
				t.Fatalf("got %d frames, want the acknowledgement and the compressed event", len(frames))
			}
			cached = append(cached, frames[1])
		}
		for i := range cached {
			if &cached[i][0] != &cached[0][0] {
				t.Errorf("subscriber %d got a twin of its own", i)
			}
		}
		plain := r.connect()
		plain.subscribe("cache-x")
		plain.expect(acknowledged, "large")
	})
}

func TestEarlyAndHeldMessagesAreCompressed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &gate{}
		r := newRig(t, nil, oneWorker, func(o *hub.Options) {
			g.Memory = o.Bus.(*hub.Memory)
			o.Bus, o.State = g, g
		})
		first := r.connect()
		first.subscribe("news")
		first.expect(acknowledged)
		g.hold(true)
		d := r.connectDeflating()
		d.subscribe("news")
		r.settle()
		if err := r.triggerBig("news", "early", 5000); err != nil {
			t.Fatal(err)
		}
		r.settle()
		g.hold(false)
		r.settle()
		frames := d.raw()
		if len(frames) != 2 || frames[1][0]&0x40 == 0 {
			t.Errorf("got %d frames, want the acknowledgement and the compressed event", len(frames))
		}
		first.take()
		r.fill(first, "first")
		if err := r.triggerBig("news", "held", 5000); err != nil {
			t.Fatal(err)
		}
		r.settle()
		d.raw()
		first.set(hub.Clear)
		time.Sleep(10 * time.Millisecond)
		if frames := d.raw(); len(frames) != 1 || frames[0][0]&0x40 == 0 {
			t.Errorf("got %d frames, want the compressed event", len(frames))
		}
	})
}

// BenchmarkDeliverCompressed is BenchmarkDeliver where half of the sockets read
// compressed events.
func BenchmarkDeliverCompressed(b *testing.B) {
	for _, share := range []int{0, 2} {
		b.Run(fmt.Sprintf("1 in %d", share), func(b *testing.B) {
			c := newCrowd(b, 1)
			c.deflating = share
			c.join(b, 999)
			before := c.total()
			e := hub.Event{Name: "event", Channels: []string{"hot"}, Data: []byte(`"` + strings.Repeat("some text, ", 200) + `"`)}
			b.ReportAllocs()
			for b.Loop() {
				if err := c.hub.Trigger(b.Context(), c.app, e); err != nil {
					b.Fatal(err)
				}
			}
			c.await(b, before+int64(b.N)*1000)
		})
	}
}
