package redisbus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A node has a name in each partition, under which it holds what it holds. Where
// Redis may have forgotten something it takes a new one, says all that it has, and
// has the old one buried. Names start with the lease on which they hang.

// prepare gives the node a name to come by, if it needs one. The lock is held.
func (o *outgoing) prepare() {
	if o.name != "" && !o.fenced && !o.lost {
		return
	}
	if o.name != "" && !o.fenced {
		o.olds = append(o.olds, o.name)
	}
	if o.fenced {
		o.olds = nil // all of them are dead
	}
	o.serial++
	o.name = o.bus.leaseOf(o.index) + "." + strconv.Itoa(o.serial)
}

// doubt has the node come anew: Redis may have forgotten something. What tells of
// that may tell it twice; not so when the node's lease is another.
func (o *outgoing) doubt(otherLease bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.name != "" && (otherLease || !o.entered || time.Since(o.lostAt) > toldTwice) {
		o.entered, o.lost = false, true
	}
}

// visit is a question about a partition, with its answer.
type visit struct {
	of      *outgoing
	name    string
	request request
	command *redis.Cmd
	lost    bool
}

// visits adds to a pipeline what there is to ask the server.
func (s *server) visits(ctx context.Context, pipe redis.Pipeliner) []*visit {
	var all []*visit
	for _, o := range s.partitions() {
		if o.isFenced() {
			o.declaredDead()
		}
		if v := o.visit(); v != nil {
			v.command = s.bus.eval(ctx, pipe, o.index, v.name, v.request)
			all = append(all, v)
		}
	}
	return all
}

func (o *outgoing) isFenced() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fenced
}

// visit returns what is to be asked, or nil.
func (o *outgoing) visit() *visit {
	received, heard := o.bus.in[o.index].highest()
	o.mu.Lock()
	defer o.mu.Unlock()
	v := &visit{of: o}
	switch {
	case !o.entered:
		old := ""
		if o.lost && o.name != "" {
			old = o.name
		}
		if o.asks == nil {
			o.prepare()
			o.asks = &enterCall{comes: true, old: old, lost: o.lost, epoch: o.epoch}
			o.lost, o.fenced = false, false
		}
		o.asks.known, o.asks.logged, o.asks.heard = max(o.known, received), o.logged, heard
		v.request, v.lost = *o.asks, o.asks.lost
	case o.paused:
		v.request = enterCall{}
	case o.restates == 0 && (len(o.olds) > 0 || o.settling && !o.said):
		v.request = settleCall{done: true, olds: o.olds}
	case o.restates == 0 && o.settling:
		v.request = settleCall{}
	default:
		return nil
	}
	v.name = o.name
	return v
}

// read takes the answer.
func (v *visit) read(ctx context.Context) error {
	o := v.of
	reply, err := answerOf(v.command)
	switch outcomeOf(reply, err) {
	case done:
	case refusedNode:
		o.refusedVisit(v, reply)
		return fmt.Errorf("%w: %v", errDoubt, reply[0])
	case notLoaded:
		return errors.Join(err, o.server.Load().loadScripts(ctx))
	default:
		o.fail(err)
		return err
	}
	if len(reply) < 4 {
		return errMalformed
	}
	if graves, _ := reply[3].(int64); graves > 0 {
		o.bus.undertaker.clear(ctx, o.index)
	}
	switch asked := v.request.(type) {
	case enterCall:
		o.welcomed(v, asked, reply)
	case settleCall:
		o.settled(v, asked, reply)
	}
	return nil
}

func (o *outgoing) refusedVisit(v *visit, reply []any) {
	if reply[0] == answeredLate {
		o.server.Load().noteLate(reply)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if v.name != o.name {
		return
	}
	o.entered, o.asks = false, nil
	o.fenced = o.fenced || reply[0] == answeredFenced
	o.lost = o.lost || reply[0] == answeredUnknown
}

// welcomed goes on with what waits, after all that the node holds, if Redis may
// have forgotten that.
func (o *outgoing) welcomed(v *visit, asked enterCall, reply []any) {
	if asked.lost {
		o.bus.in[o.index].expectLoss()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if v.name != o.name || asked.comes && o.asks == nil {
		return
	}
	if asked.comes {
		o.asks = nil
		o.entered = !o.lost && !o.fenced // else something has happened again
		word, _ := reply[2].(string)
		o.epoch = digitsOf(word)
		o.restate()
		if asked.lost {
			o.settling, o.said, o.lostAt = true, false, time.Now()
			o.bus.stats.doubts.Add(1)
		}
	}
	o.paused = false
	o.down.Store(nil)
	o.list()
}

// settled notes whether all nodes have said what they have. Then it can be told
// what was lost for good, and who is not there any more.
func (o *outgoing) settled(v *visit, asked settleCall, reply []any) {
	o.mu.Lock()
	if v.name != o.name {
		o.mu.Unlock()
		return
	}
	if asked.done {
		o.said = true
		o.olds = o.olds[len(asked.olds):]
	}
	over := o.settling && reply[1] != "1"
	if over {
		o.settling = false
	}
	o.mu.Unlock()
	if over {
		word, _ := reply[2].(string)
		o.bus.in[o.index].judge(digitsOf(word))
		o.bus.comparer.compare(o.index)
	}
}

// declaredDead is for a node that was cut off for so long that the others have
// announced its users' departure: its sockets have to start anew.
func (o *outgoing) declaredDead() {
	in := o.bus.in[o.index]
	o.mu.Lock()
	over := o.forget(in.listensTo)
	o.mu.Unlock()
	o.bus.stats.fences.Add(1)
	o.bus.fenceLog.tell("this node was declared dead: its sockets reconnect", "partition", o.index)
	o.answer(over, nil, errInTime)
	in.lose()
}

// identity is the node's name in the partition, and whether it has come.
func (o *outgoing) identity() (name string, entered bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.name, o.entered
}

// leaseIn returns the lease on which a name hangs.
func leaseIn(name string) string {
	lease, _, _ := strings.Cut(name, ".")
	return lease
}
