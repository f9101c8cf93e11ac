package webhook

import (
	"context"
	"time"

	"channels/hub"
)

// Store keeps what is to be told until it was. All methods may be called concurrently, but
// for one app only its courier calls them, besides Failed, Recent and Retry.
type Store interface {
	// Own says whether this node delivers an app's webhooks, for OwnFor from the call on.
	// At most one node does.
	Own(ctx context.Context, app string) (bool, error)
	// Watch has wake called whenever something may have occurred in an app. It is called
	// once for an app, and wake must not block.
	Watch(app string, wake func())
	// Occurrences returns what has occurred in an app and was not returned since
	// fromStart, in order for each channel, and not all at once. What Commit has removed is
	// not returned.
	Occurrences(ctx context.Context, app string, fromStart bool) ([]hub.Occurrence, error)
	// Commit takes parcels in, then removes occurrences and parcels. When it fails, some
	// of it may have been done; it is called again.
	Commit(ctx context.Context, app string, c Change) error
	// Parcels returns those that were taken in and not removed, and which endpoints were
	// already told of which occurrences.
	Parcels(ctx context.Context, app string) ([]hub.Parcel, map[string][]string, error)
	// Dropped returns how many occurrences were not noted since too many waited.
	Dropped(ctx context.Context, app string) (uint64, error)
	// Failed returns the parcels that were given up, the last ones of them, oldest first.
	Failed(ctx context.Context, app string) ([]hub.Parcel, error)
	// Recent returns what Change.Recent has kept, the last ones, oldest first.
	Recent(ctx context.Context, app string) ([][]byte, error)
	// Retry moves a parcel from those that were given up to those that are to be
	// delivered, in the form of again, and wakes the courier. It says whether there was
	// one.
	Retry(ctx context.Context, app string, again hub.Parcel) (bool, error)
	// Retried returns those, each once.
	Retried(ctx context.Context, app string) ([]hub.Parcel, error)
}

// OwnFor is for how long an answer of Store.Own holds.
const OwnFor = 5 * time.Second

// Change is what a courier has a Store do in one go.
type Change = hub.HookChange

func isEmpty(c *Change) bool {
	return len(c.Take)+len(c.Remove)+len(c.Told)+len(c.Settle)+len(c.GiveUp)+len(c.Recent) == 0
}

// MaxBytes is what may wait for an app's endpoints.
const MaxBytes = 64 << 20
