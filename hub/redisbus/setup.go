package redisbus

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"
)

// oldestRedis is the first version with sharded pub/sub, and with scripts whose
// effects are replicated in place of the scripts.
const oldestRedis = 7

var versionLine = regexp.MustCompile(`redis_version:(\d+)[.\d]*`)

// silent is the library's log. It would tell on its own what we tell better.
type silent struct{}

// Printf implements the library's logger.
func (silent) Printf(context.Context, string, ...any) {}

var silence = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

// checkServer refuses a Redis that would lose things.
func (b *Bus) checkServer(ctx context.Context) error {
	return b.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx, "server").Result()
		if err != nil {
			return err
		}
		if found := versionLine.FindStringSubmatch(info); found != nil {
			if major, _ := strconv.Atoi(found[1]); major < oldestRedis {
				return fmt.Errorf("%w: %s, but version %d or newer is needed", errUnusable, found[0], oldestRedis)
			}
		}
		return b.checkEviction(ctx, c)
	})
}

// checkEviction refuses a Redis that drops keys when it is full. Where the
// setting cannot be read it is left to the operator.
func (b *Bus) checkEviction(ctx context.Context, c *redis.Client) error {
	settings, err := c.ConfigGet(ctx, "maxmemory-policy").Result()
	if isReply(err) {
		b.warning = fmt.Errorf("cannot see what redis does when it is full: its maxmemory-policy must be noeviction: %w", err)
		return nil
	}
	if err != nil {
		return err
	}
	if policy := settings["maxmemory-policy"]; policy != "" && policy != "noeviction" {
		return fmt.Errorf("%w: its maxmemory-policy is %s, which drops who is online when memory is full; set it to noeviction", errUnusable, policy)
	}
	return nil
}

// loadScripts makes the scripts known to every master.
func (b *Bus) loadScripts(ctx context.Context) error {
	return b.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		pipe := c.Pipeline()
		for _, s := range b.scripts.all() {
			pipe.ScriptLoad(ctx, s.source)
		}
		_, err := pipe.Exec(ctx)
		return err
	})
}

func (b *Bus) eachMaster(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	switch c := b.client.(type) {
	case *redis.ClusterClient:
		return c.ForEachMaster(ctx, f)
	case *redis.Client:
		return f(ctx, c)
	}
	return errUnusable
}

// lookAround has a cluster's slots looked up again, soon.
func (b *Bus) lookAround(ctx context.Context) {
	if c, ok := b.client.(*redis.ClusterClient); ok {
		c.ReloadState(ctx)
	}
}
