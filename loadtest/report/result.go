package report

import (
	"encoding/json"
	"fmt"
	"os"

	"channels/loadtest/hist"
)

// Schema is the number of this form of results. It goes up when a field changes
// its meaning.
const Schema = 1

// Result is everything that a run has found. Times are in milliseconds.
type Result struct {
	Schema   int      `json:"schema"`
	Scenario string   `json:"scenario"`
	Summary  string   `json:"summary"`
	Partial  bool     `json:"partial"`  // it was cut short, or connections failed
	Problems []string `json:"problems"` // sentences

	MeasuredSeconds float64     `json:"measured_seconds"`
	Connections     Connections `json:"connections"`

	Expected   int64 `json:"expected"` // confirmed publishes × sockets acknowledged before them and open to the end
	Received   int64 `json:"received"`
	Lost       int64 `json:"lost"`
	Duplicates int64 `json:"duplicates"`
	OutOfOrder int64 `json:"out_of_order"`
	// Apart from Expected: came of publishes without an answer, of refused ones,
	// to sockets that were acknowledged later or closed earlier, and on a channel
	// that they do not belong to.
	Unsure  int64 `json:"received_of_unsure_publishes"`
	Refused int64 `json:"received_of_refused_publishes"`
	Extra   int64 `json:"received_beside"`
	Foreign int64 `json:"received_on_wrong_channel"`

	Delivery  Times   `json:"delivery"`  // from when the publish was due to when a socket had it
	Spread    Times   `json:"spread"`    // between the first and the last receiver of a publish
	Connect   Times   `json:"connect"`   // from the dial, or when it was due, to connection_established
	Subscribe Times   `json:"subscribe"` // from the subscribe to its acknowledgement
	Publish   Publish `json:"publish"`

	DeliveriesPerSecond float64   `json:"deliveries_per_second"`
	Server              *Server   `json:"server,omitempty"` // with --server-pid
	Generator           Generator `json:"generator"`
	Storm               *Storm    `json:"storm,omitempty"`
	Slow                *Slow     `json:"slow,omitempty"`

	Timeline []Second `json:"timeline"`
	Repro    Repro    `json:"repro"`
}

// Times sums a histogram up.
type Times struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_ms"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
	Curve []Point `json:"curve,omitempty"`
}

// Point is the time that a share of all did not exceed.
type Point struct {
	Percent float64 `json:"percent"`
	Time    float64 `json:"ms"`
}

// curve is where a histogram is looked at for a chart.
var curve = [...]float64{10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99, 100}

// Sum sums a histogram up.
func Sum(h *hist.Histogram) Times {
	t := Times{
		Count: h.Count(), Mean: h.Mean(), P50: h.Quantile(50), P90: h.Quantile(90),
		P99: h.Quantile(99), P999: h.Quantile(99.9), Max: h.Max(),
	}
	if t.Count > 0 {
		for _, percent := range curve {
			t.Curve = append(t.Curve, Point{percent, h.Quantile(percent)})
		}
	}
	return t
}

// Connections counts sockets.
type Connections struct {
	Wanted     int64            `json:"wanted"`
	Connected  int64            `json:"connected"`
	Subscribed int64            `json:"subscribed"`
	Failed     int64            `json:"failed"`
	Failures   map[string]int64 `json:"failures,omitempty"`
	Closed     int64            `json:"closed_by_server"`
	Closes     map[string]int64 `json:"closes,omitempty"`
	PerSecond  float64          `json:"per_second"`
}

// Publish is the publisher's side.
type Publish struct {
	Times
	Sent      int64            `json:"sent"`   // in the measured time
	Errors    int64            `json:"errors"` // refused, or without an answer
	Unsure    int64            `json:"unsure"` // without an answer
	PerSecond float64          `json:"per_second"`
	Failures  map[string]int64 `json:"failures,omitempty"`
	// Late counts what could not be sent in time because all publishers were
	// waiting for answers. Their delay is in every figure.
	Late int64 `json:"late"`
}

// Server is what the kernel says of the server's processes.
type Server struct {
	CPUPerDelivery   float64 `json:"cpu_us_per_delivery"`
	CPUPerPublish    float64 `json:"cpu_us_per_publish"`
	CPUPerConnection float64 `json:"cpu_us_per_connection"` // connect and subscribe
	CPUShare         float64 `json:"cpu_share"`             // of one processor, while measured
	RSSPerConnection float64 `json:"rss_kib_per_connection"`
	RSS              float64 `json:"rss_mib"` // at the end
}

// Generator is what the generator says of itself.
type Generator struct {
	Trustworthy   bool     `json:"trustworthy"`
	Reasons       []string `json:"reasons,omitempty"` // why not
	CPUPerEvent   float64  `json:"cpu_us_per_event"`  // all of it, publishing too
	CPUShare      float64  `json:"cpu_share"`         // of what it may use
	LatenessP99   float64  `json:"send_lateness_p99_ms"`
	LatenessMax   float64  `json:"send_lateness_max_ms"`
	LongestPause  float64  `json:"gc_pause_max_ms"`
	Processes     int      `json:"processes"`
	ProcessorsAll int      `json:"processors"`
}

// Storm is how connections came back that were dropped at once.
type Storm struct {
	Dropped   int64   `json:"dropped"`
	Recovered int64   `json:"recovered"`
	Recovery  float64 `json:"recovery_ms"` // until the last was subscribed again
	Reconnect Times   `json:"reconnect"`   // of those dropped, from the drop to connection_established
	Others    Times   `json:"others"`      // connects of others meanwhile
	Before    Times   `json:"others_before"`

	OthersWanted int64 `json:"others_wanted"` // before and meanwhile
	OthersFailed int64 `json:"others_failed"`
}

// Slow is what readers that stalled did to the others.
type Slow struct {
	Stalled       int64 `json:"stalled"`
	StalledClosed int64 `json:"stalled_closed_by_server"`
	Before        Times `json:"delivery_before"` // while nobody stalled
}

// Second is what happened in a second.
type Second struct {
	At        float64 `json:"at"` // seconds since the first publish
	Published int64   `json:"published"`
	Received  int64   `json:"received"`
	Open      int64   `json:"open"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
}

// Repro is what it takes to do it again.
type Repro struct {
	Command   string   `json:"command"` // without secrets
	Target    string   `json:"target"`
	Version   string   `json:"version"`
	Go        string   `json:"go"`
	OS        string   `json:"os"`
	Kernel    string   `json:"kernel"`
	Processor string   `json:"processor"`
	CPUs      int      `json:"cpus"`
	MaxProcs  int      `json:"gomaxprocs"`
	Memory    float64  `json:"memory_gib"`
	OpenFiles uint64   `json:"open_files_limit"`
	Host      string   `json:"host"`
	Began     string   `json:"began"`
	Settings  []string `json:"settings"`
}

// Write writes a result to a file.
func (r *Result) Write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil { //nolint:gosec // results are for everybody
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// Read reads a result from a file.
func Read(path string) (*Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a result: %w", err)
	}
	var r Result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s is no result of a load test: %w", path, err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("%s has schema %d, this program knows %d", path, r.Schema, Schema)
	}
	return &r, nil
}
