import { ApiError } from "../api";
import { backoff, pause } from "../realtime/backoff";
import { behind } from "../store/room";
import { putMessage } from "../store/rooms";
import type { Core } from "./state";

/** More pages of changes than this, and starting afresh is cheaper. */
const CATCH_UP_PAGES = 5;

type Running = { /** somebody asked again meanwhile */ again: boolean };

/** What the server says of a room besides its changes. */
type Hooks = {
  /** The room's channel has this name. */
  channel(room: string, name: string): void;
  /** We may not see the room (403, 404). */
  denied(room: string): void;
  /** Whether somebody else repeats the request: then a failure is left to them. */
  repeated(): boolean;
};

/** Fetches what is missing of a room: one request at a time for each, and none while nobody looks at the page. */
export class CatchUp {
  private readonly running = new Map<string, Running>();
  /** What was asked for while nobody looked at the page. */
  private readonly later = new Set<string>();
  private readonly loadingOlder = new Set<string>();

  constructor(private readonly core: Core, private readonly hooks: Hooks) {}

  /**
   * Fetches what we have heard of and do not have; with `ask`, also when we
   * have heard of nothing (after a reconnect). A failure is tried again while
   * anything is missing.
   */
  async fetch(room: string, ask = false): Promise<void> {
    if (!this.core.env.visible()) {
      if (ask) this.later.add(room);
      return;
    }
    this.later.delete(room);
    const running = this.running.get(room);
    if (running) {
      running.again ||= ask;
      return;
    }
    const mine: Running = { again: ask };
    this.running.set(room, mine);
    try {
      for (let attempt = 0; !this.core.stopped; attempt++) {
        const asked = mine.again;
        mine.again = false;
        try {
          await this.changes(room, asked);
          if (!mine.again) return;
        } catch (problem) {
          if (!(problem instanceof ApiError) || !problem.temporary) return this.refused(room, problem);
          if (this.hooks.repeated()) return;
          mine.again ||= asked;
          await pause(Math.max(backoff(attempt), problem.retryAfter * 1000));
        }
      }
    } finally {
      this.running.delete(room);
    }
  }

  /** Whether something was asked for and not fetched, since nobody looked at the page. */
  postponed(room: string): boolean {
    return this.later.has(room);
  }

  /** Loads the page above the oldest message that is here. */
  async older(room: string): Promise<void> {
    const { more, floor } = this.core.room(room);
    if (!more || this.loadingOlder.has(room)) return;
    this.loadingOlder.add(room);
    try {
      this.core.dispatch(room, { type: "older", page: await this.core.api.messages(room, floor) });
      void this.fetch(room);
    } catch (problem) {
      this.core.failed(problem);
    } finally {
      this.loadingOlder.delete(room);
    }
  }

  private async changes(room: string, ask: boolean): Promise<void> {
    let wanted = ask;
    if (this.core.room(room).have === null) {
      await this.load(room);
      wanted = false;
    }
    for (let pages = 1; wanted || behind(this.core.room(room)); pages++) {
      if (pages > CATCH_UP_PAGES) {
        await this.load(room);
        wanted = false;
        pages = 0;
      } else {
        wanted = await this.page(room);
      }
    }
  }

  private async load(room: string): Promise<void> {
    const [page, detail] = await Promise.all([this.core.api.messages(room), this.core.api.room(room)]);
    this.core.dispatch(room, { type: "newest", page });
    // After the page: what changed among the members since is then asked for.
    this.core.dispatch(room, { type: "members", members: detail.members, rev: detail.room.rev });
    this.hooks.channel(room, detail.room.channel);
  }

  /** One page of changes; whether there are more. */
  private async page(room: string): Promise<boolean> {
    const have = this.core.room(room).have ?? 0;
    const changes = await this.core.api.changes(room, have);
    this.core.dispatch(room, { type: "changes", changes });
    this.core.changeRooms((rooms) => changes.messages.reduce((list, m) => putMessage(list, room, m, this.core.me), rooms));
    if (!changes.more && (this.core.room(room).have ?? 0) <= have) this.core.dispatch(room, { type: "settle" });
    this.hooks.channel(room, changes.channel);
    return changes.more;
  }

  private refused(room: string, problem: unknown): void {
    if (!(problem instanceof ApiError)) throw problem;
    if (problem.status === 403 || problem.status === 404) this.hooks.denied(room);
    else this.core.failed(problem);
  }
}
