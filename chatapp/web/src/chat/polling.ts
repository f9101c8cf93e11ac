import type { Environment } from "./environment";

/** Asks every few seconds, and never while nobody looks at the page. */
export class Polling {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private on = false;
  private asking = false;

  constructor(private readonly env: Environment, private readonly interval: number, private readonly ask: () => Promise<unknown>) {}

  get active(): boolean {
    return this.on;
  }

  start(): void {
    if (this.on) return;
    this.on = true;
    void this.round();
  }

  stop(): void {
    this.on = false;
    clearTimeout(this.timer);
  }

  /** Somebody looks at the page again, or the room is another one: asks at once. */
  wake(): void {
    if (this.on && !this.asking) void this.round();
  }

  private async round(): Promise<void> {
    clearTimeout(this.timer);
    if (!this.on || !this.env.visible()) return; // wake goes on
    this.asking = true;
    try {
      await this.ask();
    } finally {
      this.asking = false;
    }
    if (this.on) this.timer = setTimeout(() => void this.round(), this.interval);
  }
}
