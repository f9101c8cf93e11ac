import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Config } from "../model";
import { room } from "../testing/fixtures";
import { Connection, type Listener } from "./connection";

type Callback = (data: unknown) => void;

const fake = vi.hoisted(() => ({ pusher: null as null | FakePusher }));
vi.mock("pusher-js", () => ({ default: function (...all: unknown[]) { return new FakePusher(...all); } }));
beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** pusher-js as far as the connection uses it. */
class FakePusher {
  private readonly bound = new Map<string, Callback[]>();
  readonly channels = new Map<string, Map<string, Callback[]>>();
  readonly sent: string[] = [];
  connection = {
    state: "connected",
    socket_id: "1.2",
    bind: (event: string, callback: Callback) => void this.bound.set(event, [...(this.bound.get(event) ?? []), callback]),
  };
  signin = vi.fn();
  connect = vi.fn();
  unsubscribe = vi.fn();
  disconnect = vi.fn(() => this.become("disconnected"));

  constructor(readonly key: unknown = "", readonly options: unknown = {}) {
    fake.pusher = this;
  }

  subscribe(name: string): object {
    const bound = new Map<string, Callback[]>();
    this.channels.set(name, bound);
    return {
      name, members: { members: {} }, disconnect: () => undefined, unbind_all: () => bound.clear(), trigger: () => true, bind_global: () => undefined,
      bind: (event: string, callback: Callback) => void bound.set(event, [...(bound.get(event) ?? []), callback]),
    };
  }

  send_event(event: string): void {
    this.sent.push(event);
  }

  say(event: string, data: unknown): void {
    this.bound.get(event)?.forEach((callback) => callback(data));
  }

  become(current: string): void {
    const previous = this.connection.state;
    this.connection.state = current;
    this.say("state_change", { previous, current });
  }

  succeed(channel: string): void {
    this.channels.get(channel)?.get("pusher:subscription_succeeded")?.forEach((callback) => callback(null));
  }
}

function start() {
  const links: string[] = [];
  const doubtful = vi.fn();
  const listener = new Proxy({} as Listener, {
    get: (_, name) => {
      if (name === "doubtful") return doubtful;
      return (...all: unknown[]) => { if (name === "roomLink" || name === "ownLink") links.push(`${String(name)} ${all.join(" ")}`); };
    },
  });
  const connection = new Connection({ key: "k", cluster: "", host: null, port: 1, scheme: "http" } as Config, "localhost", "own-1", vi.fn(), listener);
  const pusher = fake.pusher as unknown as FakePusher;
  connection.subscribe(room("r", { channel: "r-1" }));
  return { connection, pusher, links, doubtful };
}

describe("Connection", () => {
  it("knows the state of each channel", () => {
    const { connection, pusher, links } = start();
    pusher.succeed("own-1");
    pusher.say("message", { event: "pusher_internal:subscription_error", channel: "r-1" });
    expect([connection.ownLink, connection.link("r"), connection.link("other")]).toEqual(["live", "refused", null]);
    pusher.become("connecting");
    expect(links).toEqual(["ownLink live", "roomLink r refused", "ownLink subscribing", "roomLink r subscribing"]);
  });

  it("leaves the room before for the next, and follows a new name", () => {
    const { connection, pusher } = start();
    pusher.succeed("r-1");
    connection.subscribe(room("r", { channel: "r-1" }));
    expect(pusher.unsubscribe).not.toHaveBeenCalled();
    connection.subscribe(room("r", { channel: "r-2" }), 100);
    vi.advanceTimersByTime(100);
    connection.subscribe(room("s", { channel: "s-1" }));
    expect(pusher.unsubscribe.mock.calls.flat()).toEqual(["r-1", "r-2"]);
    expect([...pusher.channels.keys()]).toEqual(["own-1", "r-1", "r-2", "s-1"]);
  });

  it("a probe that nothing answers takes another socket", () => {
    const { connection, pusher } = start();
    connection.probe();
    connection.probe();
    expect(pusher.sent).toEqual(["pusher:ping"]);
    vi.advanceTimersByTime(3_000);
    expect(pusher.disconnect).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(1);
    expect(pusher.connect).toHaveBeenCalledTimes(1);
  });

  it("one that anything answers does not", () => {
    const { connection, pusher } = start();
    connection.probe();
    pusher.say("message", { event: "pusher:pong" });
    vi.advanceTimersByTime(60_000);
    expect(pusher.disconnect).not.toHaveBeenCalled();
  });

  it("asks about the session when the server closes with 4009, and connects by itself after anything else", () => {
    const { pusher, doubtful } = start();
    pusher.say("error", { error: { data: { code: 4009 } } });
    pusher.become("disconnected");
    vi.advanceTimersByTime(60_000);
    expect([doubtful.mock.calls.length, pusher.connect.mock.calls.length]).toEqual([1, 0]);
    pusher.become("connected");
    pusher.become("disconnected");
    vi.advanceTimersByTime(60_000);
    expect([doubtful.mock.calls.length, pusher.connect.mock.calls.length]).toEqual([1, 1]);
  });

  it("stopped, it does nothing more", () => {
    const { connection, pusher } = start();
    connection.probe();
    connection.stop();
    vi.advanceTimersByTime(60_000);
    expect(pusher.connect).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });
});
