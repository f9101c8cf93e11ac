import type { Online } from "../model";
import { spread } from "../realtime/backoff";
import { NOBODY, type Core } from "./state";

/** Who has the chat open: asked once on each connection, then kept up by events. */
export class OnlinePeople {
  /** Events that come while the question is under way: they are newer than its answer. */
  private meanwhile: Online[] | null = null;
  private stale = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly core: Core) {}

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** Without a connection nobody is known to be there. */
  lost(): void {
    this.stop();
    this.core.store.patch({ online: NOBODY });
  }

  /** Asks, after a while that grows with the number of people who may do the same. */
  fetchSoon(people: number): void {
    if (this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.fetch();
    }, spread(people));
  }

  change(change: Online): void {
    if (change.fetch) return this.fetchSoon(1_000);
    this.meanwhile?.push(change);
    this.apply(this.core.store.get().online, [change]);
  }

  seen(): void {
    if (this.stale) void this.fetch();
  }

  private async fetch(): Promise<void> {
    this.stale = !this.core.env.visible();
    if (this.stale || this.meanwhile !== null) return;
    this.meanwhile = [];
    try {
      const { online } = await this.core.api.online();
      if (!this.core.stopped) this.apply(new Set(online), this.meanwhile);
    } catch {
      this.stale = true; // asked again when the page is seen, or on the next connection
    } finally {
      this.meanwhile = null;
    }
  }

  private apply(known: ReadonlySet<string>, changes: readonly Online[]): void {
    const next = new Set(known);
    for (const { online, offline } of changes) {
      for (const user of online ?? []) next.add(user);
      for (const user of offline ?? []) next.delete(user);
    }
    this.core.store.patch({ online: next });
  }
}
