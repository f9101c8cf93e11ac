package hub

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// Token stands for a client that wants to go on where its last connection has ended. Only
// its hash is kept, so that who reads the State cannot take a client's place.
type Token struct {
	App  string // the app's id
	Hash [16]byte
}

func newToken(app *App, text string) Token {
	sum := sha256.Sum256([]byte(app.ID + "~" + text))
	return Token{App: app.ID, Hash: [16]byte(sum[:16])}
}

// Owner is a connection that has taken a token: its node, and a number there.
type Owner struct {
	Node NodeID
	Conn uint64
}

// NodeID is the name of a node among those that share a State.
type NodeID [8]byte

// Mark is what a State keeps of a token: how far its connection has come.
type Mark struct {
	Token Token
	Owner Owner
	Text  []byte        // what the hub makes of it
	Life  time.Duration // for how long it is kept
}

// Claimed is what a State knew of a token when it was claimed.
type Claimed struct {
	Owner Owner  // who had the token
	Text  []byte // of the last Mark, of that owner or of one before; empty = there was none
	Own   bool   // of that owner
	Known bool   // somebody had the token
	// Since is from when on no token was forgotten, in µs since 1970, and Now what time it
	// is, by the same clock.
	Since, Now uint64
}

// place is how far a client has come on a channel.
type place struct {
	channel uint64 // hash of its name
	seq     uint64 // the last number that the client has confirmed
}

// socketNumbers are the two numbers of a socket id.
type socketNumbers struct {
	first  uint32
	second uint64
}

func numbersOf(socketID string) socketNumbers {
	first, second, _ := strings.Cut(socketID, ".")
	a, _ := strconv.ParseUint(first, 10, 32)
	b, _ := strconv.ParseUint(second, 10, 64)
	return socketNumbers{uint32(a), b} //nolint:gosec // of 32 bits
}

// String is the socket id.
func (n socketNumbers) String() string {
	return strconv.FormatUint(uint64(n.first), 10) + "." + strconv.FormatUint(n.second, 10)
}

// progress is what the mark of a token says.
type progress struct {
	ended  bool            // the connection has ended, and nothing came after this
	until  uint64          // the highest number that was sent, once it has ended
	ids    []socketNumbers // of the connections that the client had, newest first
	places []place
}

// maxIDs is how many socket ids are remembered.
const maxIDs = 3

// progressFormat is the first byte of what encode makes.
const progressFormat = 1

var errNoProgress = errors.New("the mark of a token cannot be read")

func (p *progress) encode() []byte {
	b := make([]byte, 0, 11+12*len(p.ids)+16*len(p.places))
	flags := byte(0)
	if p.ended {
		flags = 1
	}
	b = append(b, progressFormat, flags, byte(len(p.ids)))
	b = binary.BigEndian.AppendUint64(b, p.until)
	for _, id := range p.ids {
		b = binary.BigEndian.AppendUint32(b, id.first)
		b = binary.BigEndian.AppendUint64(b, id.second)
	}
	for _, at := range p.places {
		b = binary.BigEndian.AppendUint64(b, at.channel)
		b = binary.BigEndian.AppendUint64(b, at.seq)
	}
	return b
}

func decodeProgress(b []byte) (progress, error) {
	if len(b) < 11 || b[0] != progressFormat || b[2] > maxIDs {
		return progress{}, errNoProgress
	}
	p := progress{ended: b[1]&1 != 0, until: binary.BigEndian.Uint64(b[3:])}
	ids := int(b[2])
	b = b[11:]
	if len(b) < 12*ids || (len(b)-12*ids)%16 != 0 {
		return progress{}, errNoProgress
	}
	for range ids {
		p.ids = append(p.ids, socketNumbers{binary.BigEndian.Uint32(b), binary.BigEndian.Uint64(b[4:])})
		b = b[12:]
	}
	for ; len(b) > 0; b = b[16:] {
		p.places = append(p.places, place{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])})
	}
	return p, nil
}

// channelHash stands for a channel's name in a mark. It is the same on every node.
func channelHash(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}
