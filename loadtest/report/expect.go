package report

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Expectation is what a figure should be, such as delivery.p99<50ms or lost=0.
type Expectation struct {
	text   string
	metric metric
	op     string
	value  float64
}

// operators, the longer ones first.
var operators = [...]string{"<=", ">=", "!=", "==", "<", ">", "="}

// ParseExpectation reads an expectation. Times may have a unit; without one they
// are milliseconds.
func ParseExpectation(text string) (Expectation, error) {
	for _, op := range operators {
		name, value, ok := strings.Cut(text, op)
		if !ok {
			continue
		}
		name = strings.TrimSpace(name)
		all := metrics()
		at := slices.IndexFunc(all, func(m metric) bool { return m.name == name || m.name == name+"_ms" })
		if at < 0 {
			return Expectation{}, fmt.Errorf("the expectation %q names no figure; there are %s", text, names(all))
		}
		v, err := parseValue(strings.TrimSpace(value), all[at])
		if err != nil {
			return Expectation{}, fmt.Errorf("the expectation %q: %w", text, err)
		}
		return Expectation{text, all[at], op, v}, nil
	}
	return Expectation{}, fmt.Errorf("the expectation %q is not like delivery.p99<50ms or lost=0", text)
}

func names(all []metric) string {
	var list []string
	for _, m := range all {
		list = append(list, strings.TrimSuffix(m.name, "_ms"))
	}
	return strings.Join(list, ", ")
}

func parseValue(text string, m metric) (float64, error) {
	if v, err := strconv.ParseFloat(text, 64); err == nil {
		return v, nil
	}
	if m.unit == "ms" {
		if d, err := time.ParseDuration(text); err == nil {
			return float64(d) / float64(time.Millisecond), nil
		}
	}
	return 0, fmt.Errorf("%q is no value of %s", text, m.name)
}

// Check tells whether a result is as expected.
func (e Expectation) Check(r *Result) error {
	v, measured := e.metric.value(r)
	if !measured {
		return fmt.Errorf("expected %s, but it was not measured", e.text)
	}
	ok := false
	switch e.op {
	case "<":
		ok = v < e.value
	case "<=":
		ok = v <= e.value
	case ">":
		ok = v > e.value
	case ">=":
		ok = v >= e.value
	case "=", "==":
		ok = v == e.value
	case "!=":
		ok = v != e.value
	}
	if !ok {
		return fmt.Errorf("expected %s, measured %s", e.text, e.metric.text(v))
	}
	return nil
}

// CheckAll tells which expectations a result does not meet.
func CheckAll(all []Expectation, r *Result) error {
	var errs []error
	for _, e := range all {
		errs = append(errs, e.Check(r))
	}
	return errors.Join(errs...)
}
