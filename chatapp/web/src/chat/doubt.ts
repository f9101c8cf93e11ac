/** The server says within this long (ms) whether a channel that is live again goes on without a gap. */
const TOLD_WITHIN = 2_000;

/** Waits for the server to say whether a channel goes on without a gap, and asks for what is missing when it does not. */
export class Doubt {
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly ask: () => void) {}

  /** The channel is live again. */
  begin(): void {
    this.stop();
    this.timer = setTimeout(() => this.end(false), TOLD_WITHIN);
  }

  /** The server has said so, or not in time. What it says of a channel that nobody doubts counts for nothing. */
  end(whole: boolean): void {
    if (this.timer === undefined) return;
    this.stop();
    if (!whole) this.ask();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
