package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"channels/loadtest/fleet"
	"channels/loadtest/report"
)

// release is the version of a released binary, set when it is linked.
var release string

func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}

// repro tells where and how a run was made.
func repro(p *plan) report.Repro {
	host, _ := os.Hostname() // it is only a hint
	var names []string
	for _, t := range p.targets {
		names = append(names, t.String())
	}
	return report.Repro{
		Command: command(p.args), Target: strings.Join(names, " "), Version: version(), Go: runtime.Version(),
		OS: runtime.GOOS + "/" + runtime.GOARCH, Kernel: firstLine("/proc/sys/kernel/osrelease"),
		Processor: processor(), CPUs: runtime.NumCPU(), MaxProcs: runtime.GOMAXPROCS(0), Memory: memory(),
		OpenFiles: openFiles(), Host: host, Began: time.Now().UTC().Format(time.RFC3339), Settings: p.settings(),
	}
}

// settings lists what the plan came to, with the defaults.
func (p *plan) settings() []string {
	return []string{
		fmt.Sprintf("connections=%d", p.connections), fmt.Sprintf("channels=%d", p.channels), "kind=" + p.kind, "transport=" + string(p.transport),
		fmt.Sprintf("rate=%g", p.rate), fmt.Sprintf("size=%d", p.size), fmt.Sprintf("duration=%s", p.duration),
		fmt.Sprintf("warmup=%s", p.warmup), fmt.Sprintf("workers=%d", p.workers), fmt.Sprintf("connect-rate=%g", p.connectRate),
		fmt.Sprintf("connect-workers=%d", p.connectWorkers), fmt.Sprintf("processes=%d", p.processes),
	}
}

// command is the command line without secrets.
func command(args []string) string {
	words := []string{"loadtest"}
	for i, a := range args {
		scheme, rest, ok := strings.Cut(a, "://")
		credentials, host, has := strings.Cut(rest, "@")
		key, _, secret := strings.Cut(credentials, ":")
		switch {
		case ok && has && secret:
			a = scheme + "://" + key + ":SECRET@" + host
		case i > 0 && strings.HasSuffix(args[i-1], "-auth-header"), strings.Contains(a, "-auth-header="):
			a = "HIDDEN"
		}
		if strings.ContainsAny(a, " <>&;'\"$*?") {
			a = strconv.Quote(a)
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// memory returns the machine's memory in GiB.
func memory() float64 {
	fields := strings.Fields(firstLine("/proc/meminfo"))
	if len(fields) < 2 {
		return 0
	}
	kib, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return 0
	}
	return kib / (1 << 20)
}

func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert // it is signed on some systems
}

// spareFiles is how many files a process has open beside its sockets.
const spareFiles = 64

// checkDescriptors tells when the open files that are allowed are too few.
func (p *plan) checkDescriptors() error {
	each := (p.connections + p.stalled + p.processes - 1) / p.processes
	if p.scenario == scenarioStorm {
		each += int(p.othersRate) + 1
	}
	if p.transport != fleet.WebSocket {
		each += fleet.MaxSends * len(p.targets)
	}
	need, limit := uint64(each+p.workers*len(p.targets)+spareFiles), openFiles()
	if limit == 0 || need <= limit {
		return nil
	}
	return fmt.Errorf("%d connections need %d open files in each of %d processes, and %d are allowed: raise the limit (ulimit -n %d) or spread them with --processes %d",
		p.connections, need, p.processes, limit, need, p.processes*int(need/max(limit, 1)+1))
}

// hint says what to do about a common failure.
func hint(text string) string {
	switch {
	case strings.Contains(text, "refused") && strings.Contains(text, "connect"):
		return "; is the server running? \"make run\" starts it"
	case strings.Contains(text, "4001"), strings.Contains(text, "401"), strings.Contains(text, "403"), strings.Contains(text, "404"):
		return "; check id, key and secret of the target"
	}
	return ""
}
