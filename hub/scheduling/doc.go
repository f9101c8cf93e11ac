// Package scheduling holds three tricks on Go's scheduler: timers that the kernel
// may delay, system calls that the scheduler is not told of, and a way to have the
// runtime poll its sockets.
//
// They rest on the inside of the runtime, which any version of Go may change. They
// were measured on Go 1.26, Linux, two processors. When Go changes, measure again,
// with each trick on and off:
//
//	Trick            Off with                         Gain, and how to measure it
//	SlackenTimers    CHANNELS_DEBUG_NO_TIMER_SLACK=1  a fifth of the processor at 20 events/s to 1,000 sockets:
//	                                                  make bench-peers with and without the variable
//	SendNow, …       CHANNELS_DEBUG_NO_RAW_CALLS=1    0.15 µs of each send and receive: BenchmarkSend
//	Yielder          CHANNELS_DEBUG_NO_YIELD=1        a request is read after 8 µs instead of 10 ms while a
//	                                                  goroutine keeps the processor: BenchmarkYield
//
// A debugger loses its breakpoints when SlackenTimers restarts the program; the
// first switch keeps them. The variables are read once.
package scheduling
