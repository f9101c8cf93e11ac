package account

import "math/bits"

// bitset is a set of small numbers.
type bitset []uint64

// add adds a number and tells whether it is new.
func (b *bitset) add(n uint32) bool {
	word := int(n >> 6)
	if word >= len(*b) {
		grown := make(bitset, max(word+1, 2*len(*b)))
		copy(grown, *b)
		*b = grown
	}
	bit := uint64(1) << (n & 63)
	if (*b)[word]&bit != 0 {
		return false
	}
	(*b)[word] |= bit
	return true
}

// common counts the numbers from first on that are in both sets.
func (b bitset) common(other bitset, first uint32) int64 {
	var n int
	for i := int(first >> 6); i < min(len(b), len(other)); i++ {
		word := b[i] & other[i]
		if i == int(first>>6) {
			word &= ^uint64(0) << (first & 63)
		}
		n += bits.OnesCount64(word)
	}
	return int64(n)
}

// from counts the numbers from first on.
func (b bitset) from(first uint32) int64 { return b.common(b, first) }
