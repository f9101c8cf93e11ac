import type { News, ReadPosition, Room, RoomLists } from "../model";
import { backoff, spread } from "../realtime/backoff";
import { putNewsTime, putReadPosition, putRoom, putUnread, removeRoom, replaceRooms, takeUnread } from "../store/rooms";
import { unreadIn } from "../store/unread";
import { ordered } from "../store/timeline";
import { isOver, type Core } from "./state";

/** Reasons for the list that come within this time (ms) make one request. */
const BUNDLE = 250;

type Hooks = {
  /** A room is no longer ours. */
  gone(room: string): void;
  /** The list is a fresh one. */
  listed(): void;
};

/**
 * The list of rooms and their counts. News say what changed, so that the list
 * itself is fetched only when news may have been missed, and never while
 * nobody looks at the page.
 */
export class RoomList {
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** The list has to be fetched when somebody looks. */
  private stale = true;
  /** The newest revision that news spoke of, by room: repeats are dropped. */
  private readonly heard = new Map<string, number>();
  /** Rooms that we have come into or left by ourselves. */
  private moves = 0;
  /** Requests for the list, and the newest of them whose answer is in the store. */
  private asked = 0;
  private answered = 0;

  constructor(private readonly core: Core, private readonly hooks: Hooks) {}

  stop(): void {
    clearTimeout(this.timer);
  }

  /** Fetches the list; whether the server answered. */
  async fetch(): Promise<boolean> {
    if (!this.core.env.visible()) {
      this.stale = true;
      return true;
    }
    clearTimeout(this.timer);
    this.timer = undefined;
    this.stale = false;
    try {
      const lists = await this.current();
      if (this.core.stopped) return false;
      if (!lists) return true;
      this.core.changeRooms((rooms) => replaceRooms(rooms, lists));
      const { open, rooms } = this.core.store.get();
      if (open?.member && !rooms.mine.has(open.id)) this.hooks.gone(open.id);
      this.hooks.listed();
      return true;
    } catch (problem) {
      if (!isOver(problem)) this.stale = true;
      return false;
    }
  }

  /**
   * The list as it is after our own moves: an answer may have been on its way while
   * we came into a room, and lack it. null: a later request was answered before.
   */
  private async current(): Promise<RoomLists | null> {
    for (;;) {
      const [turn, moves] = [++this.asked, this.moves];
      const lists = await this.core.api.rooms();
      if (turn < this.answered) return null;
      if (moves !== this.moves && !this.core.stopped) continue;
      this.answered = turn;
      return lists;
    }
  }

  /** Fetches the list a little later, and again until the server answers. Many people do so at once: they spread. */
  fetchSoon(people = 0, attempt = 0): void {
    if (this.timer !== undefined || this.core.stopped) return;
    const wait = attempt === 0 ? BUNDLE + spread(people) : backoff(attempt);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.fetch().then((reached) => {
        if (!reached && this.stale) this.fetchSoon(people, attempt + 1);
      });
    }, wait);
  }

  /** Somebody looks at the page again. */
  seen(): void {
    if (this.stale) void this.fetch();
  }

  /** How many people there are at most in one of my rooms: so many may do the same as we. */
  people(): number {
    let most = 0;
    for (const room of this.core.store.get().rooms.mine.keys()) most = Math.max(most, this.core.size(room));
    return most;
  }

  /** reading: the room is live and its end is in front of the reader's eyes. */
  news({ room, rev, seq, createdAt, deleted, fetch }: News, reading: boolean): void {
    if (fetch || !this.core.store.get().rooms.mine.has(room)) return this.fetchSoon(this.people());
    if (rev <= (this.heard.get(room) ?? 0)) return;
    this.heard.set(room, rev);
    if (deleted) return this.core.changeRooms((rooms) => takeUnread(rooms, room, seq));
    this.core.changeRooms((rooms) => putNewsTime(rooms, room, createdAt));
    // Its own channel brings the message, and reading it makes it read.
    if (!reading) this.core.changeRooms((rooms) => putUnread(rooms, room, seq));
  }

  /** Another tab has read on. */
  readElsewhere(room: string, readSeq: number): void {
    const known = this.core.store.get().rooms.mine.get(room);
    if (!known || readSeq <= known.readSeq) return;
    const unread = this.unreadAfter(known, readSeq);
    if (unread === null) this.fetchSoon();
    this.position(room, { readSeq, unread: unread ?? known.unread });
  }

  position(room: string, position: ReadPosition): void {
    this.core.changeRooms((rooms) => putReadPosition(rooms, room, position));
  }

  put(room: Room): void {
    this.moves++;
    this.core.changeRooms((rooms) => putRoom(rooms, room));
  }

  remove(room: string): void {
    this.moves++;
    this.core.changeRooms((rooms) => removeRoom(rooms, room));
    this.hooks.gone(room);
    this.fetchSoon(); // an open room is now one of those to join
  }

  private unreadAfter(room: Room, readSeq: number): number | null {
    if (readSeq >= room.lastSeq) return 0;
    const { have, rows, floor } = this.core.room(room.id);
    return have !== null && floor <= readSeq ? unreadIn(ordered(rows), readSeq, this.core.me) : null;
  }
}
