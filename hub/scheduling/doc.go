// Package scheduling holds what the server does past Go's scheduler: timers that
// the kernel may put off, system calls that the scheduler is not told of, and a
// way to let the runtime look after its sockets.
package scheduling
