import { apiOver, requester, type Fetcher } from "../api";
import type { Config, Me, Message, News, Online, Room, SignedIn } from "../model";
import { spread } from "../realtime/backoff";
import { Connection, type Listener } from "../realtime/connection";
import { Fallback, type Phase } from "../realtime/fallback";
import type { Link } from "../realtime/subscription";
import { behind, type RoomEvent, type RoomState } from "../store/room";
import { putChannel, putMessage } from "../store/rooms";
import { draftRow, type Row } from "../store/timeline";
import { TypingSignal, TypingWatch } from "../store/typing";
import { newClientId } from "../text/clientid";
import { CatchUp } from "./catchup";
import { Doubt } from "./doubt";
import { Drafts } from "./drafts";
import { Echo } from "./echo";
import type { Environment } from "./environment";
import { OnlinePeople } from "./online";
import { Opening } from "./opening";
import { Outbox } from "./outbox";
import { Polling } from "./polling";
import { Reading } from "./reading";
import { RoomList } from "./roomlist";
import { Session, type End } from "./session";
import { Core, NOBODY } from "./state";

/** A tab that was hidden for longer than this (ms) may have slept: its connection is doubtful. */
const MAY_HAVE_SLEPT = 30_000;
/** A room's channel has a new name: each member waits up to this long (ms) for each of them, and at most MOVE_LONGEST. */
const MOVE_EACH = 5;
const MOVE_LONGEST = 2_000;

/**
 * The whole client but for its drawing: takes what the pages want and what the
 * server says, and hands both to the piece that knows what to do.
 */
export class Chat implements Listener {
  readonly core: Core;
  readonly drafts: Drafts;
  private readonly connection: Connection | null;
  private readonly fallback: Fallback;
  private readonly session: Session;
  private readonly list: RoomList;
  private readonly opening: Opening;
  private readonly catchUp: CatchUp;
  private readonly outbox: Outbox;
  private readonly echo: Echo;
  private readonly reading: Reading;
  private readonly people: OnlinePeople;
  private readonly polling: Polling;
  private readonly watch: TypingWatch;
  private readonly signal: TypingSignal;
  private readonly stopWatching: () => void;
  private readonly ownDoubt: Doubt;
  private readonly roomDoubts = new Map<string, Doubt>();
  private connectedBefore = false;
  private hiddenAt = 0;

  constructor(
    readonly config: Config,
    { me, general }: SignedIn,
    env: Environment,
    private readonly ended: (end: End) => void,
    fetcher?: Fetcher,
  ) {
    const request = requester({ user: me.id, onDoubt: () => this.session.check() }, fetcher);
    const core = this.core = new Core(apiOver(request), env, me, general);
    this.drafts = new Drafts(env.keep, me.id);
    this.session = new Session(core, (found) => this.confirmed(found), ended);
    this.list = new RoomList(core, { gone: (room) => this.opening.lost(room), listed: () => this.listed() });
    this.catchUp = new CatchUp(core, {
      channel: (room, name) => this.renamed(room, name),
      denied: (room) => this.denied(room),
      repeated: () => this.polling.active,
    });
    this.ownDoubt = new Doubt(() => this.askForLists(true));
    this.opening = new Opening(core, this.list, (room) => this.entered(room));
    this.outbox = new Outbox(core, this.drafts, (room, message) => this.stored(room, message));
    this.echo = new Echo(core, (room) => this.silent(room));
    this.reading = new Reading(core);
    this.people = new OnlinePeople(core);
    this.polling = new Polling(env, config.pollInterval, () => this.poll());
    this.watch = new TypingWatch(me.id, (typing) => core.store.patch({ typing }));
    this.fallback = new Fallback((phase) => this.enter(phase));
    const push = config.transport === "push";
    this.connection = push ? new Connection(config, env.hostname, me.channel, request, this) : null;
    this.signal = new TypingSignal(() => this.connection?.typing(core.store.get().open?.id ?? "") ?? false);
    this.stopWatching = env.watch({
      seen: () => this.seen(),
      hidden: () => this.hidden(),
      networkBack: () => this.networkBack(),
      networkGone: () => { if (this.connection) this.fallback.down(); },
    });
    this.outbox.restore();
    if (push) {
      this.fallback.down();
      this.list.fetchSoon();
    } else {
      this.enter("poll");
    }
  }

  get store() {
    return this.core.store;
  }

  get api() {
    return this.core.api;
  }

  stop(): void {
    this.reading.flush();
    this.core.stopped = true;
    this.connection?.stop();
    this.fallback.stop();
    this.polling.stop();
    this.echo.stop();
    this.list.stop();
    this.people.stop();
    this.session.stop();
    this.ownDoubt.stop();
    for (const doubt of this.roomDoubts.values()) doubt.stop();
    this.watch.clear();
    this.stopWatching();
  }

  notice(notice: string): void {
    this.core.notice(notice);
  }

  // What the pages want.

  /** Opens a room: one of mine, or an open one to look at before joining. */
  open(id: string): Promise<void> {
    return this.opening.open(id);
  }

  draft(text: string): Row {
    return draftRow(newClientId(), this.store.get().me, text.trim(), Date.now() * 1000);
  }

  /** Sends a text. The row is in the store when this returns. */
  send(room: string, row: Row): Promise<void> {
    this.signal.reset();
    return this.outbox.send(room, row);
  }

  discard(room: string, clientId: string): void {
    this.outbox.discard(room, clientId);
  }

  async edit(room: string, row: Row, text: string): Promise<void> {
    const { message } = await this.api.editMessage(room, row.id, text.trim());
    this.core.dispatch(room, { type: "answer", message });
  }

  async remove(room: string, row: Row): Promise<void> {
    try {
      const { message } = await this.api.deleteMessage(room, row.id);
      this.core.dispatch(room, { type: "answer", message });
    } catch (problem) {
      this.core.failed(problem);
    }
  }

  loadOlder(room: string): Promise<void> {
    return this.catchUp.older(room);
  }

  /** The room whose newest message is in front of the reader's eyes; null for none. */
  attend(room: string | null): void {
    this.reading.attend(room);
  }

  read(room: string, seq: number): void {
    this.reading.read(room, seq);
  }

  keystroke(): void {
    this.signal.keystroke();
  }

  async createRoom(kind: "open" | "closed", name: string): Promise<Room> {
    return this.opening.put((await this.api.createRoom(kind, name)).room);
  }

  async join(id: string): Promise<Room> {
    return this.opening.put((await this.api.join(id)).room);
  }

  async direct(userId: string): Promise<Room> {
    return this.opening.put((await this.api.direct(userId)).room);
  }

  leave(id: string): Promise<void> {
    return this.opening.leave(id);
  }

  async addMember(id: string, name: string): Promise<void> {
    const { room, members } = await this.api.addMember(id, name);
    this.core.dispatch(id, { type: "members", members, rev: room.rev });
    void this.catchUp.fetch(id);
  }

  async removeMember(id: string, userId: string): Promise<void> {
    const { room, members } = await this.api.removeMember(id, userId);
    this.core.dispatch(id, { type: "members", members, rev: room.rev });
    void this.catchUp.fetch(id);
  }

  /** Signs out of this session, or of all. What was typed here is forgotten. */
  async signOut(everywhere: boolean): Promise<void> {
    await (everywhere ? this.api.signoutEverywhere() : this.api.signout());
    this.ended("expired");
    this.drafts.clear();
    this.core.env.announce(null);
  }

  // What the connection says (Listener).

  connected(): void {
    this.judge();
  }

  disconnected(): void {
    this.watch.clear();
    this.people.lost();
    this.judge();
  }

  doubtful(): void {
    this.session.check();
  }

  /** Whatever came on one's own channel before now was missed. */
  ownLink(link: Link): void {
    this.judge();
    if (link === "refused") this.session.check();
    if (link !== "live") return;
    this.outbox.wake();
    const before = this.connectedBefore;
    this.connectedBefore = true;
    if (before && this.config.resume) this.ownDoubt.begin();
    else this.askForLists(before);
  }

  /** Fetches what one's own channel would have said; after an outage everybody does. */
  private askForLists(again: boolean): void {
    const people = again ? this.list.people() : 0;
    this.list.fetchSoon(people);
    this.people.fetchSoon(people);
  }

  ownContinues(whole: boolean): void {
    this.ownDoubt.end(whole);
  }

  roomContinues(room: string, whole: boolean): void {
    this.roomDoubts.get(room)?.end(whole);
  }

  roomLink(room: string, link: Link): void {
    if (link !== "live") this.here(room, []);
    this.judge();
    if (link === "live") this.caughtUp(room);
    if (link === "refused") void this.catchUp.fetch(room, true);
  }

  event(room: string, event: RoomEvent): void {
    const { message, channel } = event;
    const { me } = this.store.get();
    if (message) {
      this.watch.stopped(message.user.id);
      if (message.user.id === me.id && message.seq === event.rev) this.reading.wrote(room, message.seq);
      this.core.changeRooms((rooms) => putMessage(rooms, room, message, me.id));
    }
    this.core.dispatch(room, { type: "event", event });
    if (channel) this.renamed(room, channel);
    if (behind(this.room(room))) void this.catchUp.fetch(room);
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

  online(change: Online): void {
    this.people.change(change);
  }

  roomNews(news: News): void {
    const reading = this.reading.attended === news.room && this.connection?.link(news.room) === "live";
    this.list.news(news, reading);
  }

  roomAdded(): void {
    this.list.fetchSoon();
  }

  roomRemoved(room: string): void {
    this.list.remove(room);
  }

  readPosition(room: string, readSeq: number): void {
    this.list.readElsewhere(room, readSeq);
  }

  // How the pieces act on each other.

  private room(id: string): RoomState {
    return this.core.room(id);
  }

  private entered(room: Room | null): void {
    this.watch.clear();
    this.store.patch({ here: NOBODY });
    const member = room?.member ? room : null;
    this.connection?.subscribe(member);
    this.judge();
    if (member) void this.catchUp.fetch(member.id, true);
  }

  /** The open room may be ours since now, or have another channel. */
  private listed(): void {
    const { open } = this.store.get();
    if (!open?.member) return;
    if (this.connection?.link(open.id) === null) this.entered(open);
    else this.renamed(open.id, open.channel);
  }

  private renamed(room: string, channel: string): void {
    this.core.changeRooms((rooms) => putChannel(rooms, room, channel));
    const { open } = this.store.get();
    if (open?.id !== room || !open.member) return;
    this.connection?.subscribe({ ...open, channel }, Math.random() * Math.min(MOVE_LONGEST, this.core.size(room) * MOVE_EACH));
  }

  /** We may not see the room: is it still ours? */
  private denied(room: string): void {
    void this.list.fetch().then((reached) => {
      if (reached && !this.store.get().rooms.mine.has(room)) this.opening.lost(room);
    });
  }

  private stored(room: string, message: Message): void {
    this.reading.wrote(room, message.seq);
    this.core.changeRooms((rooms) => putMessage(rooms, room, message, this.core.me));
    if (this.connection?.link(room) === "live") this.echo.expect(room, message.rev);
  }

  /** The event of one's own message has not come: the room may be missing more, and the socket may be dead. */
  private silent(room: string): void {
    if (this.connection?.link(room) !== "live") return; // that is known, and taken care of
    this.connection.probe();
    void this.catchUp.fetch(room, true);
  }

  private confirmed(me: Me): void {
    this.store.patch({ me });
    this.connection?.moveOwn(me.channel);
    this.connection?.reconnect();
    this.list.fetchSoon();
    this.outbox.wake();
  }

  /** A room's channel is live: what came before is fetched, unless the server says that it replays it. */
  private caughtUp(room: string): void {
    if (!this.config.resume || this.room(room).have === null) return this.catchUpSoon(room);
    let doubt = this.roomDoubts.get(room);
    if (!doubt) this.roomDoubts.set(room, doubt = new Doubt(() => this.catchUpSoon(room)));
    doubt.begin();
  }

  private catchUpSoon(room: string): void {
    const { have } = this.room(room);
    // The first page is on its way already; after an outage everybody asks.
    const wait = have === null ? 0 : spread(this.core.size(room));
    if (wait < 10) void this.catchUp.fetch(room, true);
    else setTimeout(() => { if (!this.core.stopped) void this.catchUp.fetch(room, true); }, wait);
  }

  private seen(): void {
    const slept = this.hiddenAt > 0 && Date.now() - this.hiddenAt > MAY_HAVE_SLEPT;
    this.hiddenAt = 0;
    this.list.seen();
    this.people.seen();
    this.polling.wake();
    const { open } = this.store.get();
    if (open?.member && (slept || this.missing(open.id))) void this.catchUp.fetch(open.id, true);
    if (slept) {
      this.connection?.probe();
      this.outbox.wake();
    }
  }

  /** Whether something of the room was not fetched while nobody looked. */
  private missing(room: string): boolean {
    const state = this.room(room);
    return state.have === null || behind(state) || this.catchUp.postponed(room);
  }

  private hidden(): void {
    if (this.hiddenAt === 0) this.hiddenAt = Date.now();
    this.reading.flush();
  }

  private networkBack(): void {
    this.connection?.renew();
    this.outbox.wake();
    this.polling.wake();
  }

  // What the page says of the connection, and the old way of polling.

  /** Tells the fallback how good the connection is: as good as the worse of the two channels. */
  private judge(): void {
    if (!this.connection || this.core.stopped) return;
    const { open } = this.store.get();
    const room = open?.member === false ? "live" : this.connection.link(open?.id ?? "");
    this.store.patch({ refused: this.connection.connected && room === "refused" });
    if (!this.connection.connected) this.fallback.down();
    else if (room === "refused" || this.connection.ownLink === "refused") this.fallback.refused();
    else if (room === "live" && this.connection.ownLink === "live") this.fallback.up();
    else this.fallback.subscribing();
  }

  private enter(phase: Phase): void {
    if (phase !== "poll") this.polling.stop();
    switch (phase) {
      case "grace": return; // a channel that is subscribed at once is not worth a word
      case "waiting": return this.store.patch({ link: "connecting", banner: false });
      case "push": return this.store.patch({ link: "live", banner: false });
      case "missing": return this.store.patch({ banner: true });
      case "poll": return this.polling.start();
    }
  }

  /** Asks for the open room; and for the list, unless news of it still come. */
  private async poll(): Promise<void> {
    const { open } = this.store.get();
    const before = this.store.get().link;
    const [reached] = await Promise.all([
      this.connection?.ownLink === "live" ? true : this.list.fetch(),
      open?.member ? this.catchUp.fetch(open.id, true) : undefined,
    ]);
    if (this.core.stopped || this.store.get().link === "live") return;
    this.store.patch({ link: reached ? "polling" : "offline", banner: this.config.transport === "push" || !reached });
    if (reached && before === "offline") this.outbox.wake();
  }
}
