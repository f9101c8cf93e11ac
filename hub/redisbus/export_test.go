package redisbus

// Crash ends the node as a power cut would: it tells nobody.
func (b *Bus) Crash() {
	b.stop()
	_ = b.client.Close()
	for _, f := range b.feeds {
		f.hangUp()
	}
	b.running.Wait()
}

// ParseBody and CutSeq are for fuzzing.
func ParseBody(body string) error {
	_, err := parseBody(body)
	return err
}

// CutSeq is for fuzzing.
func CutSeq(payload string) (uint64, string, error) { return cutSeq(payload) }
