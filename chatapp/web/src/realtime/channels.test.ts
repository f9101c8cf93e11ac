import type { PresenceChannel } from "pusher-js";
import { expect, it, vi } from "vitest";
import { bindRoom, type RoomListener } from "./channels";

/** A channel that calls as pusher-js does: those who want every event first. */
class FakeChannel {
  readonly members = { members: {} };
  private readonly all: ((event: string, data: unknown) => void)[] = [];
  private readonly some = new Map<string, ((data: unknown, metadata?: unknown) => void)[]>();

  bind(event: string, callback: (data: unknown) => void): void {
    this.some.set(event, [...(this.some.get(event) ?? []), callback]);
  }

  bind_global(callback: (event: string, data: unknown) => void): void {
    this.all.push(callback);
  }

  emit(event: string, data: unknown = {}, metadata?: unknown): void {
    for (const callback of this.all) callback(event, data);
    for (const callback of this.some.get(event) ?? []) callback(data, metadata);
  }
}

it("who typed while the page was away does not type now", () => {
  const typing = vi.fn();
  const channel = new FakeChannel();
  bindRoom(channel as unknown as PresenceChannel, "room", { typing, here: vi.fn(), event: vi.fn() } satisfies RoomListener);
  const types = (user: string) => channel.emit("client-typing", {}, { user_id: user });

  channel.emit("pusher:subscription_succeeded");
  types("before");
  channel.emit("pusher:subscription_succeeded");
  channel.emit("pusher:resumed", { replayed: 3, possibly_seen: 1 });
  types("replayed");
  channel.emit("message", {});
  channel.emit("pusher:member_added", {});
  types("replayed, the last");
  types("now");
  channel.emit("pusher:subscription_succeeded");
  channel.emit("pusher:resumed", { replayed: 2, possibly_seen: 0 });
  channel.emit("pusher:subscription_succeeded"); // broken off
  types("and now");
  channel.emit("pusher:resumed", { replayed: 0, possibly_seen: 0 });
  types("and at last");
  expect(typing.mock.calls.map(([, user]) => user)).toEqual(["before", "now", "and now", "and at last"]);
});
