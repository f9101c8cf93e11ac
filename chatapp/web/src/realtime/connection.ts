import Pusher, { type Channel, type Options, type PresenceChannel } from "pusher-js";
import { ApiError } from "../api";
import type { Config, Me, ReadPosition, Room } from "../model";
import type { RoomEvent } from "../store/room";
import { authorize } from "./authorize";
import { backoff } from "./backoff";
import { ROOM_EVENTS, toRoomEvent } from "./events";

/** The server ended the user's connections: removed from a room, signed out, password changed. */
const CLOSED_BY_SERVER = 4009;

/** What the socket tells. Rooms are named by id, people by user id. */
export type Listener = {
  connected(): void;
  disconnected(): void;
  /** The session may have ended: ask the server, then call `reconnect` or `stop`. */
  doubtful(): void;
  /** The room's channel is live; whatever came before must be fetched. */
  subscribed(room: string): void;
  /** The server would not let us into the room's channel. */
  denied(room: string): void;
  event(room: string, event: RoomEvent): void;
  typing(room: string, user: string): void;
  here(room: string, users: readonly string[]): void;
  online(users: readonly string[], online: boolean): void;
  roomNews(room: string): void;
  roomAdded(room: string): void;
  roomRemoved(room: string): void;
  readPosition(room: string, position: ReadPosition): void;
};

/** Where the socket is. The page's own host name serves when the server names none. */
export function socketOptions(config: Config, hostname: string): Options {
  // WebSockets only: the page's security policy allows nothing else, and
  // without a socket we poll by ourselves.
  const common: Options = { cluster: config.cluster, enabledTransports: ["ws", "wss"], forceTLS: config.scheme === "https" };
  if (config.cluster !== "") return common;
  return { ...common, wsHost: config.host ?? hostname, wsPort: config.port, wssPort: config.port };
}

/**
 * The live connection: one socket, signed in as the user, subscribed to the
 * user's own channel and to that of the room that is open. pusher-js connects
 * again by itself and subscribes anew; what it leaves to us is below.
 */
export class Connection {
  private readonly pusher: Pusher;
  private room: { id: string; channel: PresenceChannel } | null = null;
  private stopped = false;
  private refusals = 0;
  private again: ReturnType<typeof setTimeout> | undefined;

  constructor(config: Config, me: Me, private readonly listener: Listener) {
    this.pusher = new Pusher(config.key, {
      ...socketOptions(config, location.hostname),
      channelAuthorization: {
        endpoint: "/api/pusher/auth",
        transport: "ajax",
        customHandler: ({ socketId, channelName }, callback) =>
          this.sign("/api/pusher/auth", { socket_id: socketId, channel_name: channelName }, callback),
      },
      userAuthentication: {
        endpoint: "/api/pusher/user-auth",
        transport: "ajax",
        customHandler: ({ socketId }, callback) => this.sign("/api/pusher/user-auth", { socket_id: socketId }, callback),
      },
    });
    this.bindConnection();
    this.bindUser();
    this.bindOwnChannel(me);
    // Room channels are signed without channel_data, so that only a socket
    // that is signed in can join: and the server can then end it.
    this.pusher.signin();
  }

  /** Follows this room, and no longer the one before; null for none. */
  follow(room: Room | null): void {
    if (this.room?.id === room?.id) return;
    if (this.room) {
      this.room.channel.unbind_all();
      this.pusher.unsubscribe(this.room.channel.name);
      this.room = null;
    }
    if (room) this.bindRoom(room);
  }

  /** Says that we type; false when nobody could be told. */
  typing(): boolean {
    return this.room?.channel.subscribed === true && this.room.channel.trigger("client-typing", {});
  }

  /** Connects again after the server ended the connection. */
  reconnect(): void {
    if (this.stopped) return;
    clearTimeout(this.again);
    this.again = setTimeout(() => this.pusher.connect(), this.refusals < 2 ? 0 : backoff(this.refusals));
  }

  /** Takes a new socket for one that may be dead without knowing. */
  renew(): void {
    this.pusher.disconnect();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.again);
    this.pusher.disconnect();
  }

  /** Gets a signature for the socket as it is now; a later socket asks for its own. */
  private sign<T>(path: string, form: { socket_id: string; channel_name?: string }, callback: (error: Error | null, signed: T | null) => void): void {
    const stillWanted = () => !this.stopped && this.pusher.connection.socket_id === form.socket_id &&
      this.pusher.connection.state === "connected";
    authorize<T>(path, { ...form }, stillWanted).then(
      (signed) => signed !== null && callback(null, signed),
      (problem: Error) => {
        if (!stillWanted()) return;
        callback(problem, null);
        if (path.endsWith("user-auth") || (problem instanceof ApiError && problem.status === 401)) this.listener.doubtful();
      },
    );
  }

  private bindConnection(): void {
    const { connection } = this.pusher;
    let ended = false;
    connection.bind("error", (problem: { error?: { data?: { code?: number } }; data?: { code?: number } }) => {
      ended = (problem.error?.data?.code ?? problem.data?.code) === CLOSED_BY_SERVER;
    });
    connection.bind("state_change", ({ previous, current }: { previous: string; current: string }) => {
      if (this.stopped) return;
      if (current === "connected") {
        ended = false;
        this.listener.connected();
      } else if (previous === "connected") {
        this.listener.here(this.room?.id ?? "", []);
        this.listener.disconnected();
      }
      // pusher-js takes every 40xx as final. 4009 is about our session; after
      // any other, a server that was set right should find us again.
      if (current === "disconnected") {
        this.refusals++;
        if (ended) this.listener.doubtful(); // which then says whether to go on
        else this.reconnect();
      }
    });
  }

  private bindUser(): void {
    const { user } = this.pusher;
    user.bind("read-position", (p: ReadPosition & { room: string }) =>
      this.listener.readPosition(p.room, { readSeq: p.readSeq, unread: p.unread }));
    user.bind("room-added", (p: { room: string }) => this.listener.roomAdded(p.room));
    user.bind("room-removed", (p: { room: string }) => this.listener.roomRemoved(p.room));
    user.watchlist.bind("online", (e: { user_ids: string[] }) => this.listener.online(e.user_ids, true));
    user.watchlist.bind("offline", (e: { user_ids: string[] }) => this.listener.online(e.user_ids, false));
  }

  private bindOwnChannel(me: Me): void {
    const own = this.pusher.subscribe(me.channel);
    own.bind("room-news", (p: { room: string }) => this.listener.roomNews(p.room));
    // Also the sign that a whole round of connecting went well.
    own.bind("pusher:subscription_succeeded", () => { this.refusals = 0; });
  }

  private bindRoom({ id, channel: name }: Room): void {
    const channel = this.pusher.subscribe(name) as PresenceChannel;
    this.room = { id, channel };
    const here = () => this.listener.here(id, Object.keys(channel.members.members as Record<string, unknown>));
    channel.bind("pusher:subscription_succeeded", () => {
      here();
      this.listener.subscribed(id);
    });
    channel.bind("pusher:member_added", here);
    channel.bind("pusher:member_removed", here);
    channel.bind("pusher:subscription_error", () => this.listener.denied(id));
    channel.bind("client-typing", (_: unknown, metadata?: { user_id?: string }) => {
      if (metadata?.user_id) this.listener.typing(id, metadata.user_id);
    });
    this.bindRoomEvents(id, channel);
  }

  private bindRoomEvents(id: string, channel: Channel): void {
    for (const name of ROOM_EVENTS) {
      channel.bind(name, (data: unknown) => {
        const event = toRoomEvent(name, data);
        if (event) this.listener.event(id, event);
      });
    }
  }
}
