import type Pusher from "pusher-js";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Subscription, type Link } from "./subscription";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A channel as far as a subscription uses it. */
class FakeChannel {
  private readonly bound = new Map<string, ((data?: unknown) => void)[]>();
  disconnect = vi.fn();
  trigger = vi.fn(() => true);

  constructor(readonly name: string) {}

  bind(event: string, callback: (data?: unknown) => void): void {
    this.bound.set(event, [...(this.bound.get(event) ?? []), callback]);
  }

  unbind_all(): void {
    this.bound.clear();
  }

  emit(event: string): void {
    for (const callback of this.bound.get(event) ?? []) callback();
  }
}

function start() {
  const channels: FakeChannel[] = [];
  const log: string[] = [];
  const pusher = {
    subscribe: (name: string) => {
      log.push(`+${name}`);
      channels.push(new FakeChannel(name));
      return channels.at(-1);
    },
    unsubscribe: (name: string) => log.push(`-${name}`),
  } as unknown as Pusher;
  const links: Link[] = [];
  const subscription = new Subscription(pusher, "a-1", { bind: () => undefined, continues: () => undefined, linkChanged: (link) => links.push(link) });
  const last = () => channels.at(-1)!;
  return { subscription, channels, links, log, last };
}

describe("Subscription", () => {
  it("is live from one socket to the next", () => {
    const { subscription, links, last } = start();
    last().emit("pusher:subscription_succeeded");
    subscription.socketLost();
    subscription.socketLost();
    last().emit("pusher:subscription_succeeded");
    expect(links).toEqual(["live", "subscribing", "live"]);
  });

  it("a refused one is tried again, and stays refused until it is live", () => {
    const { subscription, links, log, last } = start();
    last().emit("pusher:subscription_error");
    expect(last().disconnect).toHaveBeenCalled();
    expect(subscription.trigger("client-typing", {})).toBe(false);
    vi.advanceTimersByTime(45_000);
    expect(log).toEqual(["+a-1", "-a-1", "+a-1"]);
    last().emit("pusher:subscription_error");
    vi.advanceTimersByTime(45_000);
    last().emit("pusher:subscription_succeeded");
    expect(links).toEqual(["refused", "live"]);
    vi.advanceTimersByTime(60_000);
    expect(log).toHaveLength(5);
  });

  it("follows a new name after its delay, and hears nothing of the old one", () => {
    const { subscription, links, log, channels, last } = start();
    last().emit("pusher:subscription_succeeded");
    subscription.move("a-2", 500);
    subscription.move("a-2", 500);
    channels[0]?.emit("pusher:subscription_succeeded");
    expect([links, log]).toEqual([["live", "subscribing"], ["+a-1", "-a-1"]]);
    vi.advanceTimersByTime(500);
    last().emit("pusher:subscription_succeeded");
    expect([links.at(-1), log.at(-1), subscription.name]).toEqual(["live", "+a-2", "a-2"]);
  });

  it("a refusal that names the new channel is followed at once", () => {
    const { subscription, links, log, last } = start();
    subscription.moved("a-3");
    last().emit("pusher:subscription_error");
    expect(log).toEqual(["+a-1", "-a-1", "+a-3"]);
    expect(links).toEqual([]);
  });

  it("closed while it waits, it subscribes no more", () => {
    const { subscription, log } = start();
    subscription.move("a-2", 500);
    subscription.close();
    vi.advanceTimersByTime(60_000);
    expect(log).toEqual(["+a-1", "-a-1"]);
  });
});
