const FIRST = 500;
const LONGEST = 15_000;

/**
 * How long (ms) to wait before attempt number `attempt` (0: the first repeat).
 * Doubles up to fifteen seconds; half of it is chance, so that a thousand
 * browsers that lost the same server do not come back in one instant.
 */
export function backoff(attempt: number, random = Math.random()): number {
  const full = Math.min(LONGEST, FIRST * 2 ** attempt);
  return full / 2 + (random * full) / 2;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
