package hub

import (
	"sync"
	"time"
	"unsafe"
)

// item is one thing for a worker to do: deliver a message to its subscribers of
// a channel, or carry out a command. Most are messages, which need no allocation
// of their own.
type item struct {
	channel *channel // of a message
	seq     uint64
	frame   []byte
	twin    *twin // the frame compressed; nil = nobody needs it
	exclude string
	tells   bool          // of who has come or gone: an announcement
	at      time.Duration // of the message's arrival, since the hub's start

	cmd  command // instead of a message
	cost int     // bytes that the item holds, itself included
}

// itemBytes is what an item takes by itself.
const itemBytes = int(unsafe.Sizeof(item{}))

// account is whose bytes they are.
func (it *item) account() *usage {
	if it.cmd != nil {
		return it.cmd.account()
	}
	return it.channel.usage
}

// blockItems is how many items a block of a queue holds.
const blockItems = 32

type block struct {
	items [blockItems]item
	count int
	next  *block
}

// blocks are kept for the next burst.
var blocks = sync.Pool{New: func() any { return new(block) }}

// queue is a first-in, first-out list of items. It grows by blocks, so that it
// takes what its items take, and gives them back one by one. The zero value is
// empty. Its owner guards it.
type queue struct {
	first, last *block
	at          int // of the front, in first
}

func (q *queue) empty() bool { return q.first == nil }

func (q *queue) push(it *item) {
	if q.last == nil || q.last.count == blockItems {
		b := blocks.Get().(*block)
		if q.last == nil {
			q.first, q.at = b, 0
		} else {
			q.last.next = b
		}
		q.last = b
	}
	q.last.items[q.last.count] = *it
	q.last.count++
}

// front returns the oldest item, nil when there is none. It is valid until pop.
func (q *queue) front() *item {
	if q.first == nil {
		return nil
	}
	return &q.first.items[q.at]
}

// pop drops the oldest item.
func (q *queue) pop() {
	b := q.first
	b.items[q.at] = item{}
	q.at++
	if q.at < b.count {
		return
	}
	q.first, q.at = b.next, 0
	if q.first == nil {
		q.last = nil
	}
	b.count, b.next = 0, nil
	blocks.Put(b)
}
