/**
 * People without a browser: each runs the page's own client, everything but
 * its drawing, over pusher-js in Node. So a load test measures what pages do,
 * not what somebody believes that they do.
 */
import { ApiError, apiOver, requester, type Api, type Fetcher } from "../src/api";
import { Chat } from "../src/chat/chat";
import { GuardedKeep, type Environment } from "../src/chat/environment";
import type { Config, SignedIn } from "../src/model";
import { pause } from "../src/realtime/backoff";
import { reads } from "../src/store/reading";
import { newestSeq, ordered } from "../src/store/timeline";

/** A page that is always seen and keeps nothing. */
function page(hostname: string): Environment {
  return {
    hostname,
    visible: () => true,
    watch: () => () => undefined,
    keep: new GuardedKeep(),
    announce: () => undefined,
    onAnnounced: () => () => undefined,
  };
}

/** A fetch with a cookie of its own, which counts requests by method and path. */
function browserOf(origin: string, address: string) {
  let cookie = "";
  const counts = new Map<string, number>();
  const fetcher: Fetcher = async (path, init) => {
    const kind = `${init.method ?? "GET"} ${path.replace(/\?.*/, "").replace(/rooms\/[a-z0-9]+/, "rooms/…")}`;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    const headers = new Headers(init.headers);
    headers.set("Cookie", cookie);
    // One machine plays many: the throttle of sign-ups goes by address.
    headers.set("X-Forwarded-For", address);
    const response = await fetch(origin + path, { ...init, headers });
    cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? cookie;
    return response;
  };
  return { fetcher, counts };
}

/** Signs up; as long as the server has too many passwords to see to, it is asked again when it says. */
async function signUp(door: Api, name: string): Promise<SignedIn> {
  for (;;) {
    try {
      return await door.signup(name, "correct horse");
    } catch (problem) {
      if (!(problem instanceof ApiError) || problem.code !== "busy") throw problem;
      await pause(problem.retryAfter * 1000);
    }
  }
}

export class Person {
  private constructor(readonly chat: Chat, readonly counts: Map<string, number>) {}

  /** Signs up and starts the client. */
  static async join(origin: string, name: string, address: string): Promise<Person> {
    const { fetcher, counts } = browserOf(origin, address);
    const door = apiOver(requester(null, fetcher));
    const [config, signedIn] = await Promise.all<[Promise<Config>, Promise<SignedIn>]>([door.config(), signUp(door, name)]);
    const chat = new Chat(config, signedIn, page(new URL(origin).hostname), () => undefined, fetcher);
    return new Person(chat, counts);
  }

  /** Opens a room and reads what comes, as somebody does who has it before their eyes. */
  async read(room: string): Promise<void> {
    const { chat } = this;
    await chat.open(room);
    const look = () => {
      const state = chat.core.room(room);
      if (!reads({ loaded: state.have !== null, atEnd: true, visible: true })) return;
      chat.attend(room);
      const newest = newestSeq(ordered(state.rows));
      if (newest > 0) chat.read(room, newest);
    };
    chat.store.subscribe(look);
    look();
  }

  /** Resolves when the page says so of its connection. */
  async connection(state: "live" | "polling"): Promise<void> {
    await new Promise<void>((resolve) => {
      const look = () => { if (this.chat.store.get().link === state) resolve(); };
      this.chat.store.subscribe(look);
      look();
    });
  }

  /** How many messages of others this person has of a room. */
  has(room: string): number {
    const { chat } = this;
    return [...chat.core.room(room).rows.values()].filter((row) => row.user.id !== chat.core.me).length;
  }

  /** What the room's badge says. */
  unread(room: string): number {
    return this.chat.store.get().rooms.mine.get(room)?.unread ?? 0;
  }

  leave(): void {
    this.chat.stop();
  }
}
