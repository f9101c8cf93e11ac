//go:build conformance

package conformance

import (
	"testing"
)

// room is the channel of the bystander. Attacks aim at it too.
const room = "room"

// besideBystander runs an attack over every kind of connection, each on a server
// of its own, while somebody else is subscribed to [room]. It requires that the
// bystander gets the event before the attack and the event after it with nothing
// in between, and that the process lives.
func besideBystander(t *testing.T, attack func(t *testing.T, s *server), settings ...string) {
	t.Helper()
	besideBystanderOver(t, hostileKinds, attack, settings...)
}

// besideBystanderOver is for what is an attack over these kinds only.
func besideBystanderOver(t *testing.T, kinds []kind, attack func(t *testing.T, s *server), settings ...string) {
	t.Helper()
	over(t, kinds, func(t *testing.T, k kind) {
		s := k.start(t, settings...)
		bystander := connect(t, s)
		bystander.subscribe(room)
		publish(t, s, room, "before", "1")
		bystander.expectData("before", room, "1")

		attack(t, s)

		publish(t, s, room, "after", "2")
		bystander.expectData("after", room, "2")
		bystander.answers()
		s.alive()
	})
}
