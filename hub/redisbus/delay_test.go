package redisbus

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// delayHook calls a function before a pipeline goes out.
type delayHook struct{ before func([]redis.Cmder) }

// DialHook implements redis.Hook.
func (delayHook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (delayHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (h delayHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		h.before(commands)
		return next(ctx, commands)
	}
}
