package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"channels/loadtest/fleet"
	"channels/loadtest/hist"
	"channels/loadtest/report"
)

// fanout connects, publishes and accounts.
func (x *experiment) fanout(ctx context.Context) error {
	if err := x.connect(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	return x.publish(ctx, nil)
}

// connectOnly connects.
func (x *experiment) connectOnly(ctx context.Context) error {
	began, own := time.Now(), ownCPU()
	err := x.connect(ctx)
	settled, failed := x.crew.settle(nil)
	for text, n := range settled.Closed {
		x.result.Connections.Closed += n
		if x.result.Connections.Closes == nil {
			x.result.Connections.Closes = map[string]int64{}
		}
		x.result.Connections.Closes[text] += n
	}
	all, failedCPU := x.crew.cpu()
	x.judge(float64(all-own) / float64(time.Since(began)))
	return errors.Join(err, failed, failedCPU)
}

// storm drops a share of the connections in the middle of the measured time, and
// lets them come back at once, while others connect all the time.
func (x *experiment) storm(ctx context.Context) error {
	if err := x.connect(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	x.result.Storm = &report.Storm{}
	return x.publish(ctx, x.dropAndReturn)
}

func (x *experiment) dropAndReturn(ctx context.Context) error {
	st, half := x.result.Storm, x.plan.duration/2
	before, err := x.others(ctx, half)
	if err != nil || ctx.Err() != nil {
		return err
	}
	st.Before = report.Sum(&before.Connect)
	meanwhile := make(chan fleet.Opened, 1)
	failed := make(chan error, 1)
	go func() {
		opened, err := x.others(ctx, half)
		meanwhile <- opened
		failed <- err
	}()
	dropped, err := x.crew.drop(x.plan.share)
	if err != nil {
		return err
	}
	st.Dropped = dropped
	if !x.plan.stayAway {
		var opened fleet.Opened
		opened, err = x.open(ctx, fleet.Order{
			First: x.plan.connections, Count: int(dropped), Channel: true, Keep: true,
		})
		st.Recovered, st.Reconnect = opened.Subscribed, report.Sum(&opened.Connect)
		st.Recovery = float64(opened.Elapsed) / float64(time.Millisecond)
	}
	others := <-meanwhile
	st.Others = report.Sum(&others.Connect)
	return errors.Join(err, <-failed)
}

// others connects at a steady rate for some time, each for a moment.
func (x *experiment) others(ctx context.Context, d time.Duration) (fleet.Opened, error) {
	c := x.config
	c.Loops = 1
	f, err := fleet.New(c)
	if err != nil {
		return fleet.Opened{}, err
	}
	defer f.Close()
	if x.plan.othersRate <= 0 {
		return fleet.Opened{}, nil
	}
	opened := f.Open(ctx, fleet.Order{
		Count: int(d.Seconds() * x.plan.othersRate), Rate: x.plan.othersRate, Channel: true,
	})
	st := x.result.Storm
	st.OthersWanted += opened.Wanted
	for text, n := range opened.Failed {
		st.OthersFailed += n
		x.result.Problems = append(x.result.Problems, fmt.Sprintf("%s could not connect: %s.", count(n, "socket of others"), text))
	}
	return opened, nil
}

// slow lets some connections stop reading in the middle of the measured time.
func (x *experiment) slow(ctx context.Context) error {
	if err := x.connect(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	x.result.Slow = &report.Slow{}
	var after hist.Histogram
	err := x.publish(ctx, func(ctx context.Context) error {
		if err := sleep(ctx, x.plan.duration/2); err != nil {
			return err
		}
		before := x.progress.take()
		x.result.Slow.Before = report.Sum(&before)
		_, err := x.open(ctx, fleet.Order{
			First: x.plan.connections, Count: x.plan.stalled, AtOnce: x.plan.connectWorkers,
			Channel: true, Keep: true, Stalled: true,
		})
		return err
	})
	rest, failed := x.crew.progress()
	after = x.progress.take()
	after.Add(rest.Delivery)
	x.result.Delivery = report.Sum(&after)
	stalled, failedFate := x.crew.fate()
	x.result.Slow.Stalled, x.result.Slow.StalledClosed = stalled.Count, stalled.Closed
	return errors.Join(err, failed, failedFate)
}
