import { api, ApiError, sentence } from "./api";
import type { Config, Me, ReadPosition, Room, SignedIn } from "./model";
import { backoff, pause } from "./realtime/backoff";
import { Connection, type Listener } from "./realtime/connection";
import { Fallback, type Phase } from "./realtime/fallback";
import { behind, NEW_ROOM, reduceRoom, type RoomAction, type RoomEvent, type RoomState } from "./store/room";
import {
  NO_ROOMS, putLast, putReadPosition, putRoom, removeRoom, replaceRooms, type Rooms,
} from "./store/rooms";
import { Store } from "./store/store";
import { draftRow, type Row } from "./store/timeline";
import { TypingSignal, TypingWatch } from "./store/typing";
import { newClientId } from "./text/clientid";

/** connecting: no socket yet; live: pushed; polling: asking; offline: not even that gets an answer. */
export type Link = "connecting" | "live" | "polling" | "offline";

/** Everything that the pages draw. Replaced as a whole with every change, never altered. */
export type ChatState = {
  readonly me: Me;
  readonly general: string;
  readonly rooms: Rooms;
  /** The room that is looked at. */
  readonly open: Room | null;
  readonly byRoom: ReadonlyMap<string, RoomState>;
  /** Who has the open room open, by user id. */
  readonly here: ReadonlySet<string>;
  readonly online: ReadonlySet<string>;
  /** Who is typing in the open room, by user id. */
  readonly typing: readonly string[];
  /** Whether anybody has typed in the general room since this page is here. */
  readonly heardTyping: boolean;
  readonly link: Link;
  /** Whether to say that there is no live connection. */
  readonly banner: boolean;
  /** A room that is no longer ours to see, or never was. */
  readonly lost: string | null;
  /** A sentence about something that did not work; shown until dismissed. */
  readonly notice: string;
};

/** More pages of changes than this, and starting afresh is cheaper. */
const CATCH_UP_PAGES = 5;
/** News of several rooms are asked for together (ms). */
const BUNDLE = 250;
/** How often (ms) the server is told how far we have read, at most. */
const READ_EVERY = 1_000;

const EMPTY: ReadonlySet<string> = new Set();

/**
 * The conductor: takes what the pages want and what the server tells, and
 * keeps the store in step. No React in here, and no drawing.
 */
export class Chat implements Listener {
  readonly store: Store<ChatState>;
  private readonly connection: Connection | null;
  private readonly fallback: Fallback;
  private readonly watch: TypingWatch;
  private readonly signal: TypingSignal;
  private readonly catching = new Set<string>();
  private readonly queues = new Map<string, Promise<void>>();
  private readonly reading = new Map<string, number>();
  private refresh: ReturnType<typeof setTimeout> | undefined;
  private poll: ReturnType<typeof setTimeout> | undefined;
  /** The room that the page asked for last; it may still be on its way. */
  private wanted = "";
  private attended: string | null = null;
  /** Rooms that we leave by our own will: no news to us. */
  private readonly leaving = new Set<string>();
  private stopped = false;

  constructor(readonly config: Config, { me, general }: SignedIn, private readonly signedOut: () => void) {
    this.store = new Store<ChatState>({
      me, general, rooms: NO_ROOMS, open: null, byRoom: new Map(), here: EMPTY, online: EMPTY, typing: [],
      heardTyping: false, link: "connecting", banner: false, lost: null, notice: "",
    });
    this.watch = new TypingWatch(me.id, (typing) => this.store.patch({ typing }));
    this.fallback = new Fallback((phase) => this.enter(phase));
    const push = config.transport === "push";
    this.connection = push ? new Connection(config, me, this) : null;
    this.signal = new TypingSignal(() => this.connection?.typing() ?? false);
    if (push) this.fallback.down();
    else this.enter("poll");
    document.addEventListener("visibilitychange", this.seen);
    window.addEventListener("online", this.networkBack);
    window.addEventListener("offline", this.networkGone);
    void this.refreshRooms();
  }

  stop(): void {
    this.stopped = true;
    this.connection?.stop();
    this.fallback.stop();
    this.watch.clear();
    clearTimeout(this.refresh);
    clearTimeout(this.poll);
    document.removeEventListener("visibilitychange", this.seen);
    window.removeEventListener("online", this.networkBack);
    window.removeEventListener("offline", this.networkGone);
  }

  room(id: string): RoomState {
    return this.store.get().byRoom.get(id) ?? NEW_ROOM;
  }

  notice(notice: string): void {
    this.store.patch({ notice });
  }

  // What the pages want.

  /** Opens a room: one of mine, or an open one to look at before joining. */
  async open(id: string): Promise<void> {
    if (this.store.get().open?.id === id) return;
    this.watch.clear();
    this.wanted = id;
    const known = this.store.get().rooms.mine.get(id);
    if (known) return this.enterRoom(known);
    for (let attempt = 0; this.wanted === id && !this.stopped; attempt++) {
      try {
        const { room } = await api.room(id);
        if (this.wanted !== id || this.stopped) return;
        if (room.member) this.store.patch({ rooms: putRoom(this.store.get().rooms, room) });
        return this.enterRoom(room);
      } catch (problem) {
        this.failed(problem);
        if (!(problem instanceof ApiError) || !problem.temporary) return this.lost(id);
        await pause(backoff(attempt));
      }
    }
  }

  /** Sends a text. The row is in the store before this first waits. */
  async send(room: string, row: Row): Promise<void> {
    this.signal.reset();
    this.dispatch(room, { type: "begin", row });
    // One after the other, so that they arrive in the order they were written.
    const turn = (this.queues.get(room) ?? Promise.resolve()).then(() => this.post(room, row));
    this.queues.set(room, turn);
    await turn;
  }

  draft(text: string): Row {
    return draftRow(newClientId(), this.store.get().me, text.trim(), Date.now() * 1000);
  }

  discard(room: string, clientId: string): void {
    this.dispatch(room, { type: "discard", clientId });
  }

  async edit(room: string, row: Row, text: string): Promise<void> {
    await this.change(room, () => api.editMessage(room, row.id, text.trim()));
  }

  async remove(room: string, row: Row): Promise<void> {
    await this.change(room, () => api.deleteMessage(room, row.id));
  }

  /** Loads the page above the oldest message that is here. */
  async loadOlder(room: string): Promise<void> {
    const { more, floor } = this.room(room);
    const key = `older ${room}`;
    if (!more || this.catching.has(key)) return;
    this.catching.add(key);
    try {
      this.dispatch(room, { type: "older", page: await api.messages(room, floor) });
      void this.catchUp(room);
    } catch (problem) {
      this.failed(problem);
    } finally {
      this.catching.delete(key);
    }
  }

  /** The room whose newest message is in front of the reader's eyes; null for none. */
  attend(room: string | null): void {
    this.attended = room;
  }

  /** I have seen everything up to seq. Told at once, then at most once a second. */
  read(room: string, seq: number): void {
    const known = this.store.get().rooms.mine.get(room);
    if (!known || (seq <= known.readSeq && known.unread === 0)) return;
    this.store.patch({ rooms: putReadPosition(this.store.get().rooms, room, { readSeq: Math.max(seq, known.readSeq), unread: 0 }) });
    const waiting = this.reading.has(room);
    this.reading.set(room, Math.max(seq, this.reading.get(room) ?? 0));
    if (!waiting) void this.tellRead(room);
  }

  keystroke(): void {
    this.signal.keystroke();
  }

  async createRoom(kind: "open" | "closed", name: string): Promise<Room> {
    return this.entered((await api.createRoom(kind, name)).room);
  }

  async join(id: string): Promise<Room> {
    return this.entered((await api.join(id)).room);
  }

  async direct(userId: string): Promise<Room> {
    return this.entered((await api.direct(userId)).room);
  }

  async leave(id: string): Promise<void> {
    this.leaving.add(id);
    try {
      await api.leave(id);
      this.roomRemoved(id);
    } finally {
      this.leaving.delete(id);
    }
  }

  async addMember(id: string, name: string): Promise<void> {
    const { room, members } = await api.addMember(id, name);
    this.dispatch(id, { type: "members", members, rev: room.rev });
    void this.catchUp(id);
  }

  async removeMember(id: string, userId: string): Promise<void> {
    const { room, members } = await api.removeMember(id, userId);
    this.dispatch(id, { type: "members", members, rev: room.rev });
    void this.catchUp(id);
  }

  // What the socket tells (Listener).

  connected(): void {
    this.store.patch({ online: EMPTY });
    this.fallback.up();
    void this.refreshRooms();
    this.openChanged();
  }

  disconnected(): void {
    this.watch.clear();
    this.store.patch({ online: EMPTY });
    this.fallback.down();
  }

  doubtful(): void {
    void this.checkSession();
  }

  subscribed(room: string): void {
    void this.catchUp(room, true);
  }

  denied(room: string): void {
    void this.refreshRooms().then(() => {
      if (!this.store.get().rooms.mine.has(room)) this.lost(room);
    });
  }

  event(room: string, event: RoomEvent): void {
    this.dispatch(room, { type: "event", event });
    if (event.message) {
      this.watch.stopped(event.message.user.id);
      this.store.patch({ rooms: putLast(this.store.get().rooms, room, event.message) });
    }
    if (behind(this.room(room))) void this.catchUp(room);
  }

  typing(room: string, user: string): void {
    const { open, general, me } = this.store.get();
    if (open?.id !== room) return;
    this.watch.heard(user);
    if (room === general && user !== me.id) this.store.patch({ heardTyping: true });
  }

  here(room: string, users: readonly string[]): void {
    if (this.store.get().open?.id !== room) return;
    for (const id of this.store.get().typing) if (!users.includes(id)) this.watch.stopped(id);
    this.store.patch({ here: new Set(users) });
  }

  online(users: readonly string[], online: boolean): void {
    const next = new Set(this.store.get().online);
    for (const user of users) online ? next.add(user) : next.delete(user);
    this.store.patch({ online: next });
  }

  roomNews(room: string): void {
    // A room that is being read has its messages by its own channel, and no count.
    if (this.attended === room && this.store.get().link === "live") return;
    this.refreshSoon();
  }

  roomAdded(): void {
    void this.refreshRooms();
  }

  roomRemoved(room: string): void {
    this.store.patch({ rooms: removeRoom(this.store.get().rooms, room) });
    this.lost(room);
    this.refreshSoon();
  }

  readPosition(room: string, position: ReadPosition): void {
    this.store.patch({ rooms: putReadPosition(this.store.get().rooms, room, position) });
  }

  // How the store is kept in step.

  private dispatch(room: string, action: RoomAction): void {
    const { byRoom } = this.store.get();
    const before = byRoom.get(room) ?? NEW_ROOM;
    const after = reduceRoom(before, action);
    if (after !== before) this.store.patch({ byRoom: new Map(byRoom).set(room, after) });
  }

  private enterRoom(room: Room): void {
    this.watch.clear();
    const { lost } = this.store.get();
    this.store.patch({ open: room, lost: null, here: EMPTY });
    if (lost === null) this.notice("");
    this.connection?.follow(room.member ? room : null);
    if (room.member) this.openChanged();
  }

  /** Brings the open room up to date, from nothing if need be. */
  private openChanged(): void {
    const { open } = this.store.get();
    if (open?.member) void this.catchUp(open.id, true);
  }

  private async load(room: string): Promise<void> {
    const [page, detail] = await Promise.all([api.messages(room), api.room(room)]);
    this.dispatch(room, { type: "newest", page });
    // After the page: what changed among the members since is then asked for.
    this.dispatch(room, { type: "members", members: detail.members, rev: detail.room.rev });
  }

  /**
   * Fetches what we have heard of and do not have; with `ask`, also when we
   * have heard of nothing (after a reconnect, or a tab was hidden). One at a
   * time for each room; a failure is tried again while anything is missing.
   */
  private async catchUp(room: string, ask = false): Promise<void> {
    if (this.catching.has(room)) {
      if (ask) this.catching.add(`again ${room}`);
      return;
    }
    this.catching.add(room);
    try {
      for (let attempt = 0; !this.stopped; attempt++) {
        try {
          ask = this.catching.delete(`again ${room}`) || ask;
          await this.fetchChanges(room, ask);
          if (!this.catching.has(`again ${room}`)) return;
        } catch (problem) {
          if (!(problem instanceof ApiError) || !problem.temporary) return this.refused(room, problem);
          if (this.store.get().link === "polling" || this.store.get().link === "offline") return; // the next round asks again
          await pause(backoff(attempt));
        }
      }
    } finally {
      this.catching.delete(room);
    }
  }

  private async fetchChanges(room: string, ask: boolean): Promise<void> {
    let wanted = ask;
    if (this.room(room).have === null) {
      await this.load(room);
      wanted = false;
    }
    for (let pages = 1; wanted || behind(this.room(room)); pages++) {
      wanted = pages > CATCH_UP_PAGES ? await this.startAfresh(room) : await this.fetchPage(room);
    }
  }

  /** One page of changes; whether there are more. */
  private async fetchPage(room: string): Promise<boolean> {
    const have = this.room(room).have ?? 0;
    const changes = await api.changes(room, have);
    this.dispatch(room, { type: "changes", changes });
    const newest = changes.messages.at(-1);
    if (newest) this.store.patch({ rooms: putLast(this.store.get().rooms, room, newest) });
    if (!changes.more && (this.room(room).have ?? 0) <= have) this.dispatch(room, { type: "settle" });
    return changes.more;
  }

  private async startAfresh(room: string): Promise<false> {
    await this.load(room);
    return false;
  }

  private async post(room: string, row: Row): Promise<void> {
    try {
      const { message } = await api.sendMessage(room, row.clientId, row.text);
      this.dispatch(room, { type: "answer", message });
      this.store.patch({ rooms: putLast(this.store.get().rooms, room, message) });
    } catch (problem) {
      this.dispatch(room, { type: "fail", clientId: row.clientId, problem: sentence(problem) });
      if (problem instanceof ApiError && problem.status === 401) void this.checkSession();
    }
  }

  private async change(room: string, request: () => ReturnType<typeof api.editMessage>): Promise<void> {
    try {
      this.dispatch(room, { type: "answer", message: (await request()).message });
    } catch (problem) {
      this.failed(problem);
      throw problem;
    }
  }

  private async tellRead(room: string): Promise<void> {
    for (let told = 0, seq = this.reading.get(room) ?? 0; told < seq && !this.stopped; seq = this.reading.get(room) ?? 0) {
      try {
        this.readPosition(room, await api.read(room, seq));
        told = seq;
      } catch (problem) {
        if (!(problem instanceof ApiError) || !problem.temporary) break;
      }
      await pause(READ_EVERY);
    }
    this.reading.delete(room);
  }

  private entered(room: Room): Room {
    this.store.patch({ rooms: putRoom(this.store.get().rooms, room) });
    if (this.store.get().open?.id === room.id) this.enterRoom(room);
    return room;
  }

  private refreshSoon(): void {
    this.refresh ??= setTimeout(() => {
      this.refresh = undefined;
      void this.refreshRooms();
    }, BUNDLE);
  }

  private async refreshRooms(): Promise<boolean> {
    try {
      const lists = await api.rooms();
      if (this.stopped) return false;
      this.store.patch({ rooms: replaceRooms(this.store.get().rooms, lists) });
      const { open, rooms } = this.store.get();
      if (open?.member && !rooms.mine.has(open.id)) this.lost(open.id);
      return true;
    } catch (problem) {
      if (problem instanceof ApiError && problem.status === 401) void this.checkSession();
      return false;
    }
  }

  /** A room is no longer ours to see: off to the general one, if we were in it. */
  private lost(room: string): void {
    const byRoom = new Map(this.store.get().byRoom);
    byRoom.delete(room);
    this.store.patch({ byRoom });
    if (this.wanted !== room) return;
    this.connection?.follow(null);
    const notice = this.leaving.has(room) ? "" : "You are not, or no longer, in that room.";
    this.store.patch({ open: null, lost: room, notice });
  }

  private refused(room: string, problem: unknown): void {
    if (!(problem instanceof ApiError)) throw problem;
    if (problem.status === 401) void this.checkSession();
    else if (problem.status === 403 || problem.status === 404) this.denied(room);
    else this.failed(problem);
  }

  private failed(problem: unknown): void {
    if (problem instanceof ApiError && problem.status === 401) void this.checkSession();
    else this.notice(sentence(problem));
  }

  /** Is there still a session? Then on with it; without an answer, ask again. */
  private async checkSession(): Promise<void> {
    for (let attempt = 0; !this.stopped; attempt++) {
      try {
        await api.me();
        this.connection?.reconnect();
        return void this.refreshRooms();
      } catch (problem) {
        if (problem instanceof ApiError && problem.status === 401) {
          if (!this.stopped) this.signedOut();
          return;
        }
        await pause(backoff(attempt));
      }
    }
  }

  /** The tab is looked at again. */
  private readonly seen = (): void => {
    if (document.hidden) return;
    void this.refreshRooms();
    this.openChanged();
  };

  // The browser knows at once; the socket would find out half a minute later.
  private readonly networkGone = (): void => {
    if (this.connection) this.fallback.down();
  };

  private readonly networkBack = (): void => {
    this.connection?.renew();
    this.seen();
  };

  private enter(phase: Phase): void {
    clearTimeout(this.poll);
    switch (phase) {
      case "waiting": return this.store.patch({ link: "connecting", banner: false });
      case "push": return this.store.patch({ link: "live", banner: false });
      case "missing": return this.store.patch({ banner: true });
      case "poll": return void this.ask();
    }
  }

  /** The old way: asks every two seconds, for the list and for the open room. */
  private async ask(): Promise<void> {
    const { open } = this.store.get();
    const [reached] = await Promise.all([
      this.refreshRooms(),
      open?.member ? this.catchUp(open.id, true) : undefined,
    ]);
    if (this.stopped || this.store.get().link === "live") return;
    this.store.patch({ link: reached ? "polling" : "offline", banner: this.config.transport === "push" || !reached });
    this.poll = setTimeout(() => void this.ask(), this.config.pollInterval);
  }
}
