package hub

import (
	"maps"
	"sync"
	"time"
)

// memoryMarks are the tokens of a Memory.
type memoryMarks struct {
	mu    sync.Mutex
	marks map[Token]memoryMark
}

type memoryMark struct {
	owner Owner
	text  []byte
	own   bool // the text is of the owner
	ends  time.Time
}

// Claim implements State.
func (m *Memory) Claim(t Token, owner Owner, life time.Duration, done func(Claimed, error)) {
	k := &m.marks
	now := time.Now()
	k.mu.Lock()
	old, known := k.marks[t]
	if known && now.After(old.ends) {
		old, known = memoryMark{}, false
	}
	if k.marks == nil {
		k.marks = make(map[Token]memoryMark)
	}
	k.marks[t] = memoryMark{owner, old.text, false, now.Add(life)}
	k.mu.Unlock()
	done(Claimed{Owner: old.owner, Text: old.text, Own: old.own, Known: known, Since: m.began, Now: m.now()}, nil)
}

// Note implements State.
func (m *Memory) Note(marks []Mark, done func(error)) {
	k := &m.marks
	now := time.Now()
	k.mu.Lock()
	for _, mark := range marks {
		if old, known := k.marks[mark.Token]; known && old.owner == mark.Owner {
			k.marks[mark.Token] = memoryMark{mark.Owner, mark.Text, true, now.Add(mark.Life)}
		}
	}
	k.mu.Unlock()
	done(nil)
}

// expire forgets the tokens of clients that have not come back.
func (k *memoryMarks) expire(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.marks, func(_ Token, m memoryMark) bool { return now.After(m.ends) })
}
