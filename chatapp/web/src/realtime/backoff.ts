const FIRST = 500;
const LONGEST = 15_000;
/** Each member of a room adds this much (ms) to the time over which all of them spread. */
const SPREAD_EACH = 3;
const SPREAD_LONGEST = 3_000;

/**
 * How long (ms) to wait before attempt number `attempt` (0: the first repeat).
 * Doubles up to fifteen seconds; half of it is chance, so that a thousand
 * browsers that lost the same server do not come back in one instant.
 */
export function backoff(attempt: number, random = Math.random()): number {
  const full = Math.min(LONGEST, FIRST * 2 ** attempt);
  return full / 2 + (random * full) / 2;
}

/**
 * How long (ms) to wait before a request that all `people` make for the same
 * reason: hardly at all for a few, up to three seconds for a thousand.
 */
export function spread(people: number, random = Math.random()): number {
  return random * Math.min(SPREAD_LONGEST, people * SPREAD_EACH);
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
