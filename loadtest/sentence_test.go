package main

import (
	"regexp"
	"strings"
	"testing"

	"channels/loadtest/report"
)

// whole is a run of a scenario in which nothing went wrong.
func whole() *report.Result {
	return &report.Result{
		Connections: report.Connections{Wanted: 1000, Connected: 1000, Subscribed: 1000, PerSecond: 1234.5},
		Expected:    2_000_000, Received: 2_000_000,
		Delivery: report.Times{Count: 2_000_000, P50: 1.234, P99: 24, Max: 12_345},
		Connect:  report.Times{Count: 1000, P50: 3, P99: 1110},
		Publish:  report.Publish{Sent: 2000, PerSecond: 98.4},
	}
}

func TestSummary(t *testing.T) {
	fanout := &plan{scenario: scenarioFanout}
	tests := []struct {
		name string
		plan *plan
		edit func(r *report.Result)
		want string
	}{
		{"all well", fanout, func(*report.Result) {},
			"98 publishes a second to 1,000 sockets: all 2,000,000 deliveries arrived, once and in order; half took 1.23 ms or less, 99% 24 ms, the slowest 12.3 s."},
		{"one of each", fanout, func(r *report.Result) {
			r.Connections = report.Connections{Wanted: 1, Connected: 1, Subscribed: 1}
			r.Expected, r.Publish.PerSecond = 1, 1
			r.Delivery = report.Times{Count: 1, P50: 1, P99: 1, Max: 1}
		}, "1 publish a second to 1 socket: all 1 delivery arrived, once and in order; half took 1 ms or less, 99% 1 ms, the slowest 1 ms."},
		{"sockets refused", fanout, func(r *report.Result) {
			r.Connections = report.Connections{Wanted: 1000, Connected: 361, Subscribed: 361, Failed: 639}
			r.Expected, r.Publish.Errors, r.Publish.PerSecond = 15_884, 16, 15.2
		}, "639 of 1,000 sockets could not connect; 16 of 2,000 publishes failed; 15 publishes a second to 361 sockets: 15,884 of 15,884 expected deliveries arrived; half took 1.23 ms or less, 99% 24 ms, the slowest 12.3 s."},
		{"one socket refused", fanout, func(r *report.Result) {
			r.Connections.Connected, r.Connections.Subscribed, r.Connections.Failed = 999, 999, 1
		}, "1 of 1,000 sockets could not connect; 98 publishes a second to 999 sockets: 2,000,000 of 2,000,000 expected deliveries arrived; half took 1.23 ms or less, 99% 24 ms, the slowest 12.3 s."},
		{"a subscribe refused", fanout, func(r *report.Result) {
			r.Connections.Subscribed, r.Connections.Failed = 999, 1
		}, "1 of 1,000 sockets could not connect or subscribe; 98 publishes a second to 999 sockets: 2,000,000 of 2,000,000 expected deliveries arrived; half took 1.23 ms or less, 99% 24 ms, the slowest 12.3 s."},
		{"all sockets closed", fanout, func(r *report.Result) {
			r.Connections = report.Connections{Wanted: 500, Connected: 500, Subscribed: 500, Closed: 500}
			r.Expected, r.Publish.Errors, r.Delivery = 0, 77, report.Times{}
		}, "500 of 500 sockets were closed by the server; 77 of 2,000 publishes failed; 98 publishes a second to 500 sockets: no delivery was due."},
		{"one socket closed", fanout, func(r *report.Result) { r.Connections.Closed = 1 },
			"1 of 1,000 sockets was closed by the server; 98 publishes a second to 1,000 sockets: 2,000,000 of 2,000,000 expected deliveries arrived; half took 1.23 ms or less, 99% 24 ms, the slowest 12.3 s."},
		{"one publish failed", fanout, func(r *report.Result) { r.Publish.Errors = 1 },
			"1 of 2,000 publishes failed; 98 publishes a second to 1,000 sockets: 2,000,000 of 2,000,000 expected deliveries arrived; half took 1.23 ms or less, 99% 24 ms, the slowest 12.3 s."},
		{"deliveries lost, doubled, out of order", fanout, func(r *report.Result) { r.Lost, r.Duplicates, r.OutOfOrder = 1, 2, 3000 },
			"1 of 2,000,000 deliveries was lost; 2 of 2,000,000 deliveries came twice; 3,000 of 2,000,000 deliveries came in the wrong order; 98 publishes a second to 1,000 sockets: 1,999,999 of 2,000,000 expected deliveries arrived; half took 1.23 ms or less, 99% 24 ms, the slowest 12.3 s."},
		{"events astray", fanout, func(r *report.Result) { r.Foreign, r.Refused = 1, 2000 },
			"1 event came to sockets that had not subscribed to the channel; 2,000 events came although the publish was refused; 98 publishes a second to 1,000 sockets: 2,000,000 of 2,000,000 expected deliveries arrived; half took 1.23 ms or less, 99% 24 ms, the slowest 12.3 s."},
		{"nothing was published", fanout, func(r *report.Result) {
			r.Expected, r.Publish, r.Delivery = 0, report.Publish{}, report.Times{}
		}, "0 publishes a second to 1,000 sockets: no delivery was due."},
		{"less than one a second", fanout, func(r *report.Result) { r.Publish.PerSecond = 0.5 },
			"0.5 publishes a second to 1,000 sockets: all 2,000,000 deliveries arrived, once and in order; half took 1.23 ms or less, 99% 24 ms, the slowest 12.3 s."},
		{"publish", &plan{scenario: scenarioPublish}, func(r *report.Result) {
			r.Connections = report.Connections{Wanted: 1, Connected: 1, Subscribed: 1}
			r.Publish.PerSecond = 13_835
		}, "13,835 publishes a second to 1 socket: all 2,000,000 deliveries arrived, once and in order; half took 1.23 ms or less, 99% 24 ms, the slowest 12.3 s."},
		{"connect", &plan{scenario: scenarioConnect}, func(*report.Result) {},
			"1,000 of 1,000 sockets connected and subscribed, 1,235 a second: half within 3 ms, 99% within 1,110 ms."},
		{"connect refused", &plan{scenario: scenarioConnect}, func(r *report.Result) {
			r.Connections = report.Connections{Wanted: 1000, Failed: 1000}
			r.Connect = report.Times{}
		}, "1,000 of 1,000 sockets could not connect; 0 of 1,000 sockets connected and subscribed, 0 a second."},
		{"storm", &plan{scenario: scenarioStorm}, func(r *report.Result) {
			r.Storm = &report.Storm{Dropped: 500, Recovered: 500, Recovery: 779, Reconnect: report.Times{P99: 609}, Others: report.Times{P99: 12}}
		}, "500 of 500 dropped sockets were back after 779 ms, 99% of them within 609 ms; others meanwhile connected within 12 ms (99%)."},
		{"storm, some not back", &plan{scenario: scenarioStorm}, func(r *report.Result) {
			r.Connections = report.Connections{Wanted: 1500, Connected: 1490, Subscribed: 1490, Failed: 10}
			r.Storm = &report.Storm{Dropped: 500, Recovered: 490, Recovery: 779, Reconnect: report.Times{P99: 609}, Others: report.Times{P99: 12}, OthersWanted: 40, OthersFailed: 3}
		}, "10 of 1,500 sockets could not connect; 3 of 40 sockets of others could not connect; 490 of 500 dropped sockets were back after 779 ms, 99% of them within 609 ms; others meanwhile connected within 12 ms (99%)."},
		{"storm, others refused", &plan{scenario: scenarioStorm, stayAway: true}, func(r *report.Result) {
			r.Storm = &report.Storm{Dropped: 1, Before: report.Times{P99: 5}, Others: report.Times{P99: 6}, OthersWanted: 40, OthersFailed: 3}
		}, "3 of 40 sockets of others could not connect; 1 socket dropped; others connected within 5 ms before and 6 ms meanwhile (99%); 2,000,000 of 2,000,000 expected deliveries arrived."},
		{"slow", &plan{scenario: scenarioSlow}, func(r *report.Result) {
			r.Slow = &report.Slow{Stalled: 1, Before: report.Times{P99: 5}}
		}, "Before the stall 99% of the deliveries took 5 ms, beside 1 stalled socket 24 ms; all 2,000,000 deliveries arrived, once and in order."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := whole()
			tt.edit(r)
			if got := summary(tt.plan, r, failures(r)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

var everything = regexp.MustCompile(`\ball [0-9]`)

// TestSummaryNeverDeniesWhatWentWrong tries every combination of faults with every
// scenario.
func TestSummaryNeverDeniesWhatWentWrong(t *testing.T) {
	faults := []func(r *report.Result){
		func(r *report.Result) {
			r.Connections.Failed, r.Connections.Connected, r.Connections.Subscribed = 10, 990, 990
		},
		func(r *report.Result) { r.Connections.Closed = 10 },
		func(r *report.Result) { r.Publish.Errors = 10 },
		func(r *report.Result) { r.Lost = 10 },
		func(r *report.Result) { r.Duplicates = 10 },
		func(r *report.Result) { r.OutOfOrder = 10 },
		func(r *report.Result) { r.Foreign = 10 },
		func(r *report.Result) { r.Refused = 10 },
		func(r *report.Result) { r.Expected, r.Lost = 0, 0 }, // no fault by itself
	}
	plans := []*plan{
		{scenario: scenarioFanout}, {scenario: scenarioPublish}, {scenario: scenarioConnect},
		{scenario: scenarioStorm}, {scenario: scenarioStorm, stayAway: true}, {scenario: scenarioSlow},
	}
	for set := range 1 << len(faults) {
		for _, p := range plans {
			r := whole()
			r.Storm, r.Slow = &report.Storm{Dropped: 500, Recovered: 500}, &report.Slow{Stalled: 5}
			for i, fault := range faults {
				if set&(1<<i) != 0 {
					fault(r)
				}
			}
			wrong := failures(r)
			got := summary(p, r, wrong)
			if len(wrong) > 0 && (!strings.HasPrefix(got, "10 ") || everything.MatchString(got)) || strings.Contains(got, "all 0") {
				t.Errorf("%s with %b: %s", p.scenario, set, got)
			}
		}
	}
}
