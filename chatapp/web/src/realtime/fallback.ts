/** A channel that is subscribed within this time (ms) of opening its room shows nothing of it. */
export const GRACE = 400;
/** Not live for this long (ms), the banner says so. */
export const BANNER_AFTER = 5_000;
/** Not live for this long (ms), we poll. */
export const POLL_AFTER = 10_000;

/**
 * "push" while the open room is live. When it is not: "grace" (the socket is
 * good, the channel is being subscribed), "waiting", "missing" (with the
 * banner) and "poll", in that order.
 */
export type Phase = "push" | "grace" | "waiting" | "missing" | "poll";

/** Decides from the state of the socket and of the room's channel when to warn people and when to poll. */
export class Fallback {
  private timers: ReturnType<typeof setTimeout>[] = [];
  private phase: Phase = "waiting";

  constructor(private readonly changed: (phase: Phase) => void) {}

  /** The socket is gone, or not there yet. Repeats do not restart the clock. */
  down(): void {
    if (this.phase === "grace") this.enter("waiting");
    if (this.waits()) return;
    this.enter("waiting");
    this.startTimers();
  }

  /** The socket is good, and the room's channel is being subscribed. */
  subscribing(): void {
    if (this.waits()) return;
    this.enter("grace");
    this.startTimers();
  }

  /** The room's channel is subscribed. */
  up(): void {
    this.stop();
    this.enter("push");
  }

  /** The server refuses the room's channel: nothing to wait for. */
  refused(): void {
    this.stop();
    this.enter("poll");
  }

  stop(): void {
    this.timers.forEach(clearTimeout);
    this.timers = [];
  }

  private waits(): boolean {
    return this.timers.length > 0 || this.phase === "poll";
  }

  private startTimers(): void {
    this.timers = [
      setTimeout(() => this.enter("waiting"), GRACE),
      setTimeout(() => this.enter("missing"), BANNER_AFTER),
      setTimeout(() => this.enter("poll"), POLL_AFTER),
    ];
  }

  private enter(phase: Phase): void {
    if (phase === this.phase) return;
    this.phase = phase;
    this.changed(phase);
  }
}
