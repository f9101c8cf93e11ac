package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"channels/loadtest/hist"
)

func sampleResult() *Result {
	var h hist.Histogram
	for i := range int64(1000) {
		h.Record(i * 1_000_000)
	}
	return &Result{
		Schema: Schema, Scenario: "fanout", Summary: "A sentence.", Expected: 1000, Received: 999, Lost: 1,
		Delivery: Sum(&h), Server: &Server{CPUPerDelivery: 5.5}, Generator: Generator{Trustworthy: true},
		Timeline: []Second{{At: 1, Published: 20, Received: 500, P50: 1, P99: 2, Max: 3}, {At: 2, Published: 20, Received: 499, P50: 1, P99: 2, Max: 30}},
		Problems: []string{"1 of 1,000 deliveries was lost."},
	}
}

func TestSum(t *testing.T) {
	t.Parallel()
	d := sampleResult().Delivery
	for _, q := range []struct {
		name      string
		got, want float64
	}{{"p50", d.P50, 499}, {"p90", d.P90, 899}, {"p99", d.P99, 989}, {"p999", d.P999, 998}, {"max", d.Max, 999}} {
		if q.got < q.want*0.998 || q.got > q.want*1.002 {
			t.Errorf("%s is %v, want %v", q.name, q.got, q.want)
		}
	}
}

func TestExpectations(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want string // part of the error, "" for none
	}{
		{"lost=1", ""}, {"lost==1", ""}, {"lost!=0", ""}, {"lost<=1", ""}, {"lost = 1", ""},
		{"delivery.p99<1s", ""}, {"delivery.p99_ms<995", ""}, {"delivery.p50>400ms", ""}, {"server.cpu_us_per_delivery<6", ""},
		{"lost=0", "expected lost=0, measured 1"},
		{"delivery.p99<50ms", "measured 9"},
		{"storm.recovery<1s", "was not measured"},
	}
	for _, tt := range tests {
		e, err := ParseExpectation(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		err = e.Check(sampleResult())
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.text, err, tt.want)
		}
	}
	for _, text := range []string{"", "lost", "nothing=1", "lost=many", "lost=1ms", "delivery.p99<fast"} {
		if _, err := ParseExpectation(text); err == nil {
			t.Errorf("%q was taken for an expectation", text)
		}
	}
}

func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.json")
	if err := sampleResult().Write(path); err != nil {
		t.Fatal(err)
	}
	r, err := Read(path)
	if err != nil || r.Received != 999 || r.Server.CPUPerDelivery != 5.5 {
		t.Errorf("read %+v, error %v", r, err)
	}
	for name, text := range map[string]string{"other.json": `{"schema":2}`, "no.json": `[]`} {
		bad := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	other := sampleResult()
	other.Server.CPUPerDelivery = 11
	if err := Compare(&b, sampleResult(), other, "us", "them"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"us", "them", "server CPU per delivery", "5.50 µs", "2.00"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the comparison has no %q:\n%s", want, &b)
		}
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	r := sampleResult()
	r.Partial = true
	r.Generator = Generator{Reasons: []string{"it was slow"}}
	if err := WriteSummary(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NOT TRUSTWORTHY: it was slow", "PARTIAL", "1 of 1,000 deliveries was lost."} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the summary has no %q:\n%s", want, &b)
		}
	}
	if !strings.HasSuffix(b.String(), "\nA sentence.\n") {
		t.Errorf("the summary does not end in its sentence:\n%s", &b)
	}
}

// TestPage looks for what a page must have, and that it needs nothing from
// elsewhere.
func TestPage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.html")
	r := sampleResult()
	r.Summary = `<script>alert(1)</script>`
	if err := WritePage(path, r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	if n := strings.Count(page, "<svg"); n != 3 {
		t.Errorf("the page has %d charts, want 3", n)
	}
	for _, bad := range []string{"<script", "http://", "https://", "src=", "NaN", "Inf"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}
