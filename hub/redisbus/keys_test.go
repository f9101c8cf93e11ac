package redisbus

import (
	"strings"
	"testing"
)

// TestSpread: partitions spread over the slots, so masters that have as many slots
// have as many partitions, however many masters there are.
func TestSpread(t *testing.T) {
	for _, prefix := range []string{"channels", "a", strings.Repeat("x", 64)} {
		k := newKeys(prefix, 0, clusterLeases)
		for masters, want := range map[int]float64{3: 2.9, 6: 5.8, 12: 11, 24: 20} {
			most := 0
			counts := make([]int, masters)
			for _, tag := range k.tags {
				at := int(crc16(strings.Trim(tag, "{}"))) % slots * masters / slots
				counts[at]++
				most = max(most, counts[at])
			}
			if speed := float64(partitions) / float64(most); speed < want {
				t.Errorf("%s: %d masters are worth %.1f", prefix, masters, speed)
			}
		}
		for p, tag := range k.tags {
			if got := k.partitionAt(tag + ":t:1:c"); got != p {
				t.Errorf("%s: partition %d is read as %d", tag, p, got)
			}
		}
	}
	if crc16("123456789") != 0x31c3 {
		t.Error("the checksum is not that of Redis")
	}
}

// TestSubscription: what follows from each state and what comes.
func TestSubscription(t *testing.T) {
	for _, test := range []struct {
		from   subscription
		wanted bool
		to     subscription
		sends  command
	}{
		{off, false, off, nothing}, {off, true, asked, subscribe},
		{asked, false, asked, nothing}, {asked, true, asked, nothing},
		{on, false, leaving, unsubscribe}, {on, true, on, nothing},
		{leaving, false, leaving, nothing}, {leaving, true, leaving, nothing},
	} {
		if to, sends := test.from.want(test.wanted); to != test.to || sends != test.sends {
			t.Errorf("%+v: got %d, %d", test, to, sends)
		}
	}
	for _, test := range []struct {
		from     subscription
		of       command
		to       subscription
		expected bool
	}{
		{off, subscribe, off, false}, {off, unsubscribe, off, false},
		{asked, subscribe, on, true}, {asked, unsubscribe, asked, false},
		{on, subscribe, on, false}, {on, unsubscribe, on, false},
		{leaving, subscribe, leaving, false}, {leaving, unsubscribe, off, true},
	} {
		if to, expected := test.from.confirm(test.of); to != test.to || expected != test.expected {
			t.Errorf("%+v: got %d, %v", test, to, expected)
		}
	}
}
