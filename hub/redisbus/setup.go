package redisbus

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// oldestRedis is the first version with sharded pub/sub, and with scripts whose
// effects are replicated in place of the scripts.
const oldestRedis = 7

var (
	versionLine = regexp.MustCompile(`redis_version:(\d+)[.\d]*`)
	runIDLine   = regexp.MustCompile(`run_id:([[:xdigit:]]+)`)
	policyLine  = regexp.MustCompile(`maxmemory_policy:([a-z-]+)`)
)

// silent is the library's log. It would tell on its own what we tell better.
type silent struct{}

// Printf implements the library's logger.
func (silent) Printf(context.Context, string, ...any) {}

var silence = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

// check refuses a Redis that would lose things.
func (s *server) check(ctx context.Context) error {
	info, err := s.beats.Info(ctx, "server").Result()
	if err != nil && !isDenied(err) {
		return err
	}
	if found := versionLine.FindStringSubmatch(info); found != nil {
		if major, _ := strconv.Atoi(found[1]); major < oldestRedis {
			return fmt.Errorf("%w: %s, but version %d or newer is needed", errUnusable, found[0], oldestRedis)
		}
	}
	policy, err := s.policy(ctx)
	if isReply(err) || err == nil && policy == "" {
		s.bus.warning = fmt.Errorf("cannot see what redis does when it is full: its maxmemory-policy must be noeviction: %w", errors.Join(err, errNotTold))
		return nil
	}
	if err != nil {
		return err
	}
	s.policyAt = time.Now()
	if policy != noeviction {
		return fmt.Errorf("%w: its maxmemory-policy is %s, which drops who is online when memory is full; set it to noeviction", errUnusable, policy)
	}
	return nil
}

const noeviction = "noeviction"

var errNotTold = errors.New("neither INFO nor CONFIG tells")

// policy is what Redis does when it is full. Managed services often allow INFO
// where they do not allow CONFIG.
func (s *server) policy(ctx context.Context) (string, error) {
	info, err := s.beats.Info(ctx, "memory").Result()
	if found := policyLine.FindStringSubmatch(info); err == nil && found != nil {
		return found[1], nil
	}
	settings, err := s.beats.ConfigGet(ctx, "maxmemory-policy").Result()
	return settings["maxmemory-policy"], err
}

// checkPolicy looks again now and then, and whenever the server is another: the
// setting may be changed, and a replica may have another.
func (s *server) checkPolicy(ctx context.Context) {
	if time.Since(s.policyAt) < policyInterval {
		return
	}
	s.policyAt = time.Now()
	policy, err := s.policy(ctx)
	bad := err == nil && policy != "" && policy != noeviction
	if bad && !s.badly {
		s.bus.log.Error("redis drops who is online when its memory is full: set its maxmemory-policy to noeviction",
			"server", s.addr, "policy", policy)
	}
	s.badly = bad
	s.evicts.Store(bad)
}

var errScripts = errors.New("redis does not have the scripts")

// loadScripts makes the scripts known to the server.
func (s *server) loadScripts(ctx context.Context) error {
	pipe := s.beats.Pipeline()
	for _, script := range s.bus.scripts.all() {
		pipe.ScriptLoad(ctx, script.source)
	}
	_, err := pipe.Exec(ctx)
	return err
}
