package chatapp

import (
	"errors"
	"net/http"
)

// Fault is what a caller did wrong, or cannot have, in words for people.
type Fault struct {
	Status int    // of HTTP
	Code   string // one word for programs
	Text   string // a sentence
}

// Error implements error.
func (f Fault) Error() string { return f.Text }

func badRequest(code, text string) Fault { return Fault{http.StatusBadRequest, code, text} }
func forbidden(code, text string) Fault  { return Fault{http.StatusForbidden, code, text} }
func notFound(code, text string) Fault   { return Fault{http.StatusNotFound, code, text} }
func conflict(code, text string) Fault   { return Fault{http.StatusConflict, code, text} }

// The faults that several places tell.
var (
	errNotSignedIn   = Fault{http.StatusUnauthorized, "not_signed_in", "Sign in first."}
	errWrongPassword = Fault{http.StatusUnauthorized, "wrong_password", "The name or the password is wrong."}
	errOtherUser     = conflict("other_user", "Somebody else has signed in, in another tab: reload this one.")
	errDeactivated   = forbidden("deactivated", "The administrator has ended this account.")
	errNoRoom        = notFound("no_such_room", "There is no such room.")
	errNoMessage     = notFound("no_such_message", "There is no such message in this room.")
	errNoUser        = notFound("no_such_user", "There is nobody of that name.")
	errNotMember     = forbidden("not_member", "Join the room first.")
	errNotAllowed    = forbidden("not_allowed", "Only the room's owner or the administrator may do that.")
	errRoomFull      = conflict("room_full", "The room is full: it holds 1,000 members.")
	errNotAuthor     = forbidden("not_author", "Only who wrote a message may edit it.")
	errNoInvite      = notFound("no_such_invite", "There is no such invite.")
	errNameTaken     = conflict("name_taken", "Somebody has that name already.")
	errRoomNameTaken = conflict("room_name_taken", "A room has that name already.")
	errClientIDTaken = conflict("client_id_taken", "Another member's message has this clientId.")
	errDeleted       = conflict("message_deleted", "The message was deleted.")
	errSignupClosed  = forbidden("signup_closed", "Nobody can sign up here just now.")
	errInviteNeeded  = forbidden("invite_needed", "You need an invite link to sign up here.")
	errInviteInvalid = forbidden("invite_invalid", "This invite link is used up or too old.")
	errDirect        = conflict("direct_room", "A direct conversation has its two members for good.")
)

// errStore is what every failure of the database becomes: nothing was stored,
// or nobody can say.
var errStore = errors.New("the database is away")
