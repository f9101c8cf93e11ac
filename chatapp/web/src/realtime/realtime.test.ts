import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { requester } from "../api";
import type { Config } from "../model";
import { message } from "../testing/fixtures";
import { authorize } from "./authorize";
import { backoff, spread } from "./backoff";
import { socketOptions } from "./connection";
import { toRoomEvent } from "./events";
import { BANNER_AFTER, Fallback, GRACE, POLL_AFTER, type Phase } from "./fallback";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("Fallback", () => {
  const start = () => {
    const phases: Phase[] = [];
    return { fallback: new Fallback((phase) => phases.push(phase)), phases };
  };

  it("tells people after five seconds, asks after ten, and comes back", () => {
    const { fallback, phases } = start();
    fallback.up();
    fallback.down();
    vi.advanceTimersByTime(BANNER_AFTER - 1);
    expect(phases).toEqual(["push", "waiting"]);
    vi.advanceTimersByTime(1);
    expect(phases.at(-1)).toBe("missing");
    vi.advanceTimersByTime(POLL_AFTER - BANNER_AFTER);
    expect(phases.at(-1)).toBe("poll");
    fallback.up();
    expect(phases).toEqual(["push", "waiting", "missing", "poll", "push"]);
  });

  it("a short interruption shows nothing", () => {
    const { fallback, phases } = start();
    fallback.up();
    fallback.down();
    vi.advanceTimersByTime(3_000);
    fallback.up();
    vi.advanceTimersByTime(60_000);
    expect(phases).toEqual(["push", "waiting", "push"]);
  });

  it("attempts that fail do not start the clock anew", () => {
    const { fallback, phases } = start();
    for (let i = 0; i < 6; i++) {
      fallback.down();
      vi.advanceTimersByTime(2_000);
    }
    expect(phases).toEqual(["missing", "poll"]);
  });

  it("a channel that is subscribed at once shows nothing", () => {
    const { fallback, phases } = start();
    fallback.up();
    fallback.subscribing();
    vi.advanceTimersByTime(GRACE - 1);
    fallback.up();
    vi.advanceTimersByTime(60_000);
    expect(phases).toEqual(["push", "grace", "push"]);
  });

  it("a channel that the server does not answer for is polled in the end", () => {
    const { fallback, phases } = start();
    fallback.up();
    fallback.subscribing();
    vi.advanceTimersByTime(POLL_AFTER);
    expect(phases).toEqual(["push", "grace", "waiting", "missing", "poll"]);
  });

  it("a socket that goes while subscribing shows at once", () => {
    const { fallback, phases } = start();
    fallback.up();
    fallback.subscribing();
    fallback.down();
    expect(phases).toEqual(["push", "grace", "waiting"]);
    vi.advanceTimersByTime(POLL_AFTER);
    expect(phases.at(-1)).toBe("poll");
  });

  it("a refused channel is polled at once, and until one is live", () => {
    const { fallback, phases } = start();
    fallback.up();
    fallback.refused();
    fallback.subscribing();
    fallback.down();
    vi.advanceTimersByTime(60_000);
    expect(phases).toEqual(["push", "poll"]);
    fallback.up();
    expect(phases.at(-1)).toBe("push");
  });

  it("stop leaves no timer", () => {
    const { fallback } = start();
    fallback.down();
    fallback.stop();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("authorize", () => {
  const answers = (...list: (number | "none")[]) => {
    const fetcher = vi.fn(async (_path: string, _init: RequestInit) => {
      const next = list.shift();
      if (next === "none" || next === undefined) throw new TypeError("network");
      return new Response(JSON.stringify(next === 200 ? { auth: "k:s" } : { error: "No.", code: "word" }), { status: next });
    });
    vi.stubGlobal("fetch", fetcher);
    return fetcher;
  };
  const form = { socket_id: "1.2", channel_name: "presence-chat-room-r" };

  it("asks as a form", async () => {
    const fetcher = answers(200);
    expect(await authorize(requester(), "/api/pusher/auth", form, () => true)).toEqual({ auth: "k:s" });
    expect(String(fetcher.mock.calls[0]?.[1].body)).toBe("socket_id=1.2&channel_name=presence-chat-room-r");
  });

  it("tries again on 5xx and on no answer", async () => {
    const fetcher = answers(503, "none", 500, 200);
    const got = authorize(requester(), "/api/pusher/auth", form, () => true);
    await vi.runAllTimersAsync();
    expect(await got).toEqual({ auth: "k:s" });
    expect(fetcher).toHaveBeenCalledTimes(4);
  });

  it.each([401, 403])("takes %d as a no", async (status) => {
    const fetcher = answers(status, 200);
    await expect(authorize(requester(), "/api/pusher/auth", form, () => true)).rejects.toMatchObject({ status });
    expect(fetcher).toHaveBeenCalledTimes(1);
  });

  it("gives up with its socket", async () => {
    answers(503, 503, 200);
    let wanted = true;
    const got = authorize(requester(), "/api/pusher/auth", form, () => wanted);
    await vi.advanceTimersByTimeAsync(10);
    wanted = false;
    await vi.runAllTimersAsync();
    expect(await got).toBeNull();
  });
});

describe("backoff", () => {
  it("grows, ends, and is never nothing", () => {
    expect(backoff(0, 0)).toBe(250);
    expect(backoff(0, 1)).toBe(500);
    expect(backoff(3, 1)).toBe(4_000);
    expect(backoff(40, 1)).toBe(15_000);
  });
});

describe("spread", () => {
  it("is next to nothing for two, and three seconds at most", () => {
    expect(spread(2, 1)).toBe(6);
    expect(spread(1_000, 1)).toBe(3_000);
    expect(spread(50_000, 1)).toBe(3_000);
    expect(spread(1_000, 0)).toBe(0);
  });
});

describe("socketOptions", () => {
  const config = { cluster: "", host: null, port: 6001, scheme: "http" } as Config;
  it("takes the page's own host name when the server names none", () => {
    expect(socketOptions(config, "localhost")).toMatchObject({ wsHost: "localhost", wsPort: 6001, httpHost: "localhost", httpPort: 6001, forceTLS: false });
  });
  it("takes the server's when it does", () => {
    expect(socketOptions({ ...config, host: "ws.example.com", scheme: "https", port: 443 }, "chat.example.com"))
      .toMatchObject({ wsHost: "ws.example.com", wssPort: 443, httpHost: "ws.example.com", httpsPort: 443, forceTLS: true });
  });
  it("leaves the host to a cluster", () => {
    expect(socketOptions({ ...config, cluster: "eu", scheme: "https" }, "x")).not.toHaveProperty("wsHost");
    expect(socketOptions({ ...config, cluster: "eu", scheme: "https" }, "x")).not.toHaveProperty("httpHost");
  });
  it("leaves the choice of the transport to pusher-js", () => {
    expect(socketOptions(config, "x")).not.toHaveProperty("enabledTransports");
  });
});

describe("toRoomEvent", () => {
  it.each(["new-message", "message-edited", "message-deleted"] as const)("%s carries the message", (name) => {
    expect(toRoomEvent(name, message(4))).toEqual({ rev: 4, message: message(4) });
  });
  it("reads and members carry theirs", () => {
    expect(toRoomEvent("read", { room: "r", rev: 5, reads: [{ user: "bo", seq: 4 }] })).toEqual({ rev: 5, reads: [{ user: "bo", seq: 4 }] });
    expect(toRoomEvent("members-changed", { room: "r", rev: 6, members: [] })).toEqual({ rev: 6, members: [] });
  });
  it("anything may be too large", () => {
    expect(toRoomEvent("new-message", { room: "r", id: "m", rev: 7, fetch: true })).toEqual({ rev: 7, fetch: true });
  });
  it("a channel's last event names the next one", () => {
    expect(toRoomEvent("members-changed", { room: "r", rev: 8, members: [], channel: "presence-chat-room-r-2" }))
      .toEqual({ rev: 8, members: [], channel: "presence-chat-room-r-2" });
    expect(toRoomEvent("members-changed", { room: "r", rev: 8, fetch: true, channel: "x" })).toEqual({ rev: 8, fetch: true, channel: "x" });
  });
  it("a hint stands for what could not be sent", () => {
    expect(toRoomEvent("catch-up", { room: "r", rev: 9, fetch: true })).toEqual({ rev: 9, fetch: true });
  });
  it.each([null, undefined, "text", {}, { rev: "7" }])("drops %j", (data) => expect(toRoomEvent("read", data)).toBeNull());
});
