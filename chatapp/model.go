package chatapp

// Kinds of rooms: anybody may join an open one, a closed one is joined by being
// added, a direct one is for two.
const (
	KindOpen   = "open"
	KindClosed = "closed"
	KindDirect = "direct"
)

// Roles of members.
const (
	RoleOwner  = "owner"
	RoleMember = "member"
)

// Limits of what people may store.
const (
	MaxMessage  = 4000 // code points of a message, after trimming
	MaxName     = 40   // code points of a user's or a room's name
	MinPassword = 8    // code points
	MaxPassword = 200  // code points
	MaxMembers  = 1000 // of a room: what the channel of its presence has to hold
	maxUnread   = 100  // counted unread messages; more are not counted
)

// User is who wrote or read something, as everybody may know.
type User struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Account is a user as the program knows them.
type Account struct {
	User
	Admin    bool
	epoch    int64  // of the name of their own channel
	ended    bool   // deactivated: has no sessions and gets none
	password string // argon2id, encoded
}

// Member is a user's part in a room. Of two versions the one with the greater
// Rev, or for ReadSeq the greater ReadRev, is newer.
type Member struct {
	User    User   `json:"user"`
	Role    string `json:"role"`
	Active  bool   `json:"active"` // false: has left, or was removed
	ReadSeq int64  `json:"readSeq"`
	Rev     int64  `json:"rev"`
	ReadRev int64  `json:"readRev"`
}

// Message is a message as its room's members see it. Seq is the room's revision
// that created it and orders a room's messages; Rev is the one that last
// changed it. Times are microseconds since 1970.
type Message struct {
	ID        string `json:"id"`
	Room      string `json:"room"`
	Seq       int64  `json:"seq"`
	Rev       int64  `json:"rev"`
	ClientID  string `json:"clientId"`
	User      User   `json:"user"`
	Text      string `json:"text"` // "" when deleted
	CreatedAt int64  `json:"createdAt"`
	EditedAt  int64  `json:"editedAt"` // 0: never
	Deleted   bool   `json:"deleted"`
}

// Room is a room as one user sees it.
type Room struct {
	ID          string   `json:"id"`
	Kind        string   `json:"kind"`
	Name        string   `json:"name"` // of a direct room: the other's name
	Channel     string   `json:"channel"`
	Rev         int64    `json:"rev"`
	LastSeq     int64    `json:"lastSeq"` // of the newest message, 0 without any
	MemberCount int64    `json:"memberCount"`
	Member      bool     `json:"member"`
	Role        string   `json:"role"`
	ReadSeq     int64    `json:"readSeq"`
	Unread      int64    `json:"unread"` // at most 100, which means 100 or more
	With        *User    `json:"with"`   // of a direct room: the other
	Last        *Message `json:"last"`
}

// Changes is what happened in a room after a revision.
type Changes struct {
	Rev      int64     `json:"rev"` // this answer goes as far
	More     bool      `json:"more"`
	Channel  string    `json:"channel"`  // the room's, now
	Messages []Message `json:"messages"` // by Rev
	Members  []Member  `json:"members"`
}

// Page is a part of a room's messages, by Seq.
type Page struct {
	Messages []Message `json:"messages"`
	More     bool      `json:"more"` // there are older ones
	Rev      int64     `json:"rev"`  // the answer is at least as new
}

// Read is how far a user has read.
type Read struct {
	User string `json:"user"`
	Seq  int64  `json:"seq"`
}

// Invite lets people sign up where that needs one.
type Invite struct {
	ID        string `json:"id"`
	CreatedAt int64  `json:"createdAt"`
	ExpiresAt int64  `json:"expiresAt"`
	UsesLeft  int64  `json:"usesLeft"`
}
