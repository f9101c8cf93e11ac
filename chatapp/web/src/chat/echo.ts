import type { Core } from "./state";

/** The event of one's own message comes within this time (ms) of the server's answer, or something is wrong. */
export const ECHO_WITHIN = 3_000;

/** Listens for the events of one's own messages: a probe of the connection that costs nothing. */
export class Echo {
  private readonly timers = new Set<ReturnType<typeof setTimeout>>();

  /** silent: the room's channel did not bring what the server has stored. */
  constructor(private readonly core: Core, private readonly silent: (room: string) => void) {}

  /** The server has stored a message of ours, at this revision. */
  expect(room: string, rev: number): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      if (this.core.room(room).heard < rev) this.silent(room);
    }, ECHO_WITHIN);
    this.timers.add(timer);
  }

  stop(): void {
    this.timers.forEach(clearTimeout);
    this.timers.clear();
  }
}
