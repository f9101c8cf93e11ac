import Pusher, { type Options } from "pusher-js";
import { ApiError, type Request } from "../api";
import type { Config, Room } from "../model";
import { authorize } from "./authorize";
import { backoff } from "./backoff";
import { bindOwn, bindRoom, type OwnListener, type RoomListener } from "./channels";
import { newClientId } from "../text/clientid";
import { Subscription, type Link } from "./subscription";

/** The server ended the user's connections: removed from a room, signed out, password changed. */
const CLOSED_BY_SERVER = 4009;

/**
 * A connection that is silent for this long (ms) is asked whether it lives, and
 * has PONG_WITHIN (ms) to answer: a dead one is found within ten seconds.
 */
const SILENT = 6_000;
const PONG_WITHIN = 3_000;

/** What the connection says. Rooms are named by id, people by user id. */
export type Listener = RoomListener & OwnListener & {
  connected(): void;
  disconnected(): void;
  /** The session may have ended: ask the server, then call `reconnect` or `stop`. */
  doubtful(): void;
  /** On "live", whatever came before on this channel must be fetched, unless it is told to continue. */
  roomLink(room: string, link: Link): void;
  ownLink(link: Link): void;
  /** Follows "live" where the server knows the page: whole, if what came before is replayed now. */
  roomContinues(room: string, whole: boolean): void;
  ownContinues(whole: boolean): void;
};

/** Where the server is, for WebSockets and, where those are blocked, for HTTP. The page's own host name serves when the server names none. */
export function socketOptions(config: Config, hostname: string): Options {
  const common: Options = {
    cluster: config.cluster, forceTLS: config.scheme === "https", activityTimeout: SILENT, pongTimeout: PONG_WITHIN,
  };
  if (config.cluster !== "") return common;
  const [host, port] = [config.host ?? hostname, config.port];
  return { ...common, wsHost: host, wsPort: port, wssPort: port, httpHost: host, httpPort: port, httpsPort: port };
}

/**
 * The live connection: one socket, signed in as the user, subscribed to the
 * user's own channel and to that of the room that is open. pusher-js connects again by itself and
 * subscribes again; what it leaves to us is below.
 */
export class Connection {
  private readonly pusher: Pusher;
  private readonly own: Subscription;
  private readonly rooms = new Map<string, Subscription>();
  private stopped = false;
  private refusals = 0;
  private again: ReturnType<typeof setTimeout> | undefined;
  private probing: ReturnType<typeof setTimeout> | undefined;

  constructor(config: Config, hostname: string, ownChannel: string, private readonly request: Request, private readonly listener: Listener) {
    // The token is the page's own: pusher-js keeps it over all its sockets.
    this.pusher = new Pusher(config.resume ? `${config.key}~${newClientId()}` : config.key, {
      ...socketOptions(config, hostname),
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
    // Channels are signed without channel_data, so that only a socket that is
    // signed in can join: and the server can then end it.
    this.pusher.signin();
    this.own = new Subscription(this.pusher, ownChannel, {
      bind: (channel) => bindOwn(channel, listener),
      linkChanged: (link) => listener.ownLink(link),
      continues: (whole) => listener.ownContinues(whole),
    });
  }

  get connected(): boolean {
    return this.pusher.connection.state === "connected";
  }

  /** The state of one's own channel. */
  get ownLink(): Link {
    return this.own.link;
  }

  /** The state of a room's channel; null when we are not subscribed to it. */
  link(room: string): Link | null {
    return this.rooms.get(room)?.link ?? null;
  }

  /** Subscribes to this room's channel, and to no other room's; null for none. A new name counts after `delay` (ms). */
  subscribe(room: Room | null, delay = 0): void {
    for (const [id, subscription] of this.rooms) {
      if (id === room?.id) continue;
      subscription.close();
      this.rooms.delete(id);
    }
    if (!room) return;
    const { id, channel: name } = room;
    const subscription = this.rooms.get(id);
    if (subscription) return subscription.move(name, delay);
    this.rooms.set(id, new Subscription(this.pusher, name, {
      bind: (channel) => bindRoom(channel, id, this.listener),
      linkChanged: (link) => this.listener.roomLink(id, link),
      continues: (whole) => this.listener.roomContinues(id, whole),
    }));
  }

  /** One's own channel has this name now. */
  moveOwn(name: string): void {
    this.own.move(name);
  }

  /** Says in a room that we type; false when nobody could be told. */
  typing(room: string): boolean {
    return this.rooms.get(room)?.trigger("client-typing", {}) ?? false;
  }

  /** Connects again after the server ended the connection. */
  reconnect(): void {
    if (this.stopped) return;
    clearTimeout(this.again);
    this.again = setTimeout(() => this.pusher.connect(), this.refusals < 2 ? 0 : backoff(this.refusals));
  }

  /** Asks a connection that looks good whether it lives; one that does not answer is replaced. */
  probe(): void {
    if (!this.connected || this.probing !== undefined) return;
    this.probing = setTimeout(() => this.renew(), PONG_WITHIN);
    this.pusher.send_event("pusher:ping", {});
  }

  /** Takes a new socket for one that may be dead without knowing. */
  renew(): void {
    this.alive();
    this.pusher.disconnect();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.again);
    this.alive();
    this.subscribe(null);
    this.pusher.disconnect();
  }

  private alive(): void {
    clearTimeout(this.probing);
    this.probing = undefined;
  }

  /** Gets a signature for the socket as it is now; a later socket asks for its own. */
  private sign<T>(path: string, form: { socket_id: string; channel_name?: string }, callback: (error: Error | null, signed: T | null) => void): void {
    const stillWanted = () => !this.stopped && this.pusher.connection.socket_id === form.socket_id && this.connected;
    authorize<T>(this.request, path, { ...form }, stillWanted).then(
      (signed) => signed !== null && callback(null, signed),
      (problem: Error) => {
        if (!stillWanted()) return;
        if (problem instanceof ApiError && problem.channel !== "") this.named(form.channel_name ?? "")?.moved(problem.channel);
        callback(problem, null);
        if (path.endsWith("user-auth") || (problem instanceof ApiError && problem.status === 401)) this.listener.doubtful();
      },
    );
  }

  private named(channel: string): Subscription | undefined {
    return [this.own, ...this.rooms.values()].find((each) => each.name === channel);
  }

  private bindConnection(): void {
    const { connection } = this.pusher;
    let ended = false;
    connection.bind("message", ({ event, channel }: { event: string; channel?: string }) => {
      this.alive();
      // pusher-js does not tell a channel that the server refuses it.
      if (event === "pusher_internal:subscription_error") this.named(channel ?? "")?.refuse();
      // The sign that a whole round of connecting went well.
      if (event === "pusher:signin_success") this.refusals = 0;
    });
    connection.bind("error", (problem: { error?: { data?: { code?: number } }; data?: { code?: number } }) => {
      ended = (problem.error?.data?.code ?? problem.data?.code) === CLOSED_BY_SERVER;
    });
    connection.bind("state_change", ({ previous, current }: { previous: string; current: string }) => {
      if (this.stopped) return;
      if (current === "connected") {
        ended = false;
        this.listener.connected();
      } else if (previous === "connected") {
        this.alive();
        for (const each of [this.own, ...this.rooms.values()]) each.socketLost();
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
}
