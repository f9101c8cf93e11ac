package redisbus

// wakeUp has a goroutine look that waits for something to do. The channel has room
// for one: who is woken already looks once.
func wakeUp(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
