/** Without a socket for this long (ms), the banner says so. */
export const BANNER_AFTER = 5_000;
/** Without a socket for this long (ms), we ask instead of being told. */
export const POLL_AFTER = 10_000;

/** "push" while there is a socket; then "waiting", "missing" (with the banner) and "poll". */
export type Phase = "waiting" | "push" | "missing" | "poll";

/** Decides from the socket's coming and going when to tell people and when to poll. */
export class Fallback {
  private timers: ReturnType<typeof setTimeout>[] = [];
  private phase: Phase = "waiting";

  constructor(private readonly changed: (phase: Phase) => void) {}

  /** The socket is gone, or not there yet. Repeats do not start the clock anew. */
  down(): void {
    if (this.timers.length > 0) return;
    this.enter("waiting");
    this.timers = [
      setTimeout(() => this.enter("missing"), BANNER_AFTER),
      setTimeout(() => this.enter("poll"), POLL_AFTER),
    ];
  }

  up(): void {
    this.stop();
    this.enter("push");
  }

  stop(): void {
    this.timers.forEach(clearTimeout);
    this.timers = [];
  }

  private enter(phase: Phase): void {
    if (phase === this.phase) return;
    this.phase = phase;
    this.changed(phase);
  }
}
