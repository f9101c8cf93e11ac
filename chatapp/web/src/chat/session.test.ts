import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, apiOver, requester } from "../api";
import type { SignedIn } from "../model";
import { noAnswer, refusal, world } from "../testing/world";
import { Session } from "./session";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const signedIn = (id: string): SignedIn => ({ me: { id, name: id, admin: false, channel: `presence-user-${id}-2` }, general: "g" });

function start(...answers: (SignedIn | Error)[]) {
  const me = vi.fn(async () => {
    const answer = answers.shift();
    if (answer === undefined || answer instanceof Error) throw answer ?? new Error("asked too often");
    return answer;
  });
  const { core, page } = world({ me });
  const [confirmed, ended] = [vi.fn(), vi.fn()];
  return { core, page, me, confirmed, ended, session: new Session(core, confirmed, ended) };
}

describe("Session", () => {
  it.each([
    ["is still ours", signedIn("me"), null],
    ["has ended", refusal(401, "not_signed_in"), "expired"],
    ["is somebody else's", signedIn("bo"), "other"],
    ["is somebody else's, as the server says", refusal(409, "other_user"), "other"],
  ] as [string, SignedIn | Error, string | null][])("%s", async (_, answer, end) => {
    const { session, confirmed, ended } = start(answer);
    session.check();
    await vi.runAllTimersAsync();
    expect(ended.mock.calls).toEqual(end === null ? [] : [[end]]);
    expect(confirmed.mock.calls).toEqual(end === null ? [[signedIn("me").me]] : []);
  });

  it("asks again without an answer, and once at a time", async () => {
    const { session, me, confirmed } = start(noAnswer(), refusal(503, "store_unavailable"), signedIn("me"));
    session.check();
    session.check();
    await vi.runAllTimersAsync();
    expect(me).toHaveBeenCalledTimes(3);
    expect(confirmed).toHaveBeenCalledTimes(1);
  });

  it("asks when another tab signs in as somebody else or out", async () => {
    const { page, me, ended, session } = start(signedIn("bo"));
    page.otherTab("me");
    expect(me).not.toHaveBeenCalled();
    page.otherTab("bo");
    await vi.runAllTimersAsync();
    expect(ended).toHaveBeenCalledExactlyOnceWith("other");
    session.stop();
    page.otherTab(null);
    expect(me).toHaveBeenCalledTimes(1);
  });
});

describe("a request", () => {
  const answers = (status: number, body: object) => vi.fn(async (_path: string, _init: RequestInit) => new Response(JSON.stringify(body), { status }));

  it("says whose it is, and a refusal for that raises a doubt", async () => {
    const fetcher = answers(409, { error: "Somebody else.", code: "other_user" });
    const onDoubt = vi.fn();
    const api = apiOver(requester({ user: "me", onDoubt }, fetcher));
    await expect(api.sendMessage("r", "c", "text")).rejects.toBeInstanceOf(ApiError);
    expect(new Headers(fetcher.mock.calls[0]?.[1].headers).get("X-Chat-User")).toBe("me");
    expect(onDoubt).toHaveBeenCalledTimes(1);
  });

  it("a wrong password raises none", async () => {
    const onDoubt = vi.fn();
    const api = apiOver(requester({ user: "me", onDoubt }, answers(401, { error: "Wrong.", code: "wrong_password" })));
    await expect(api.changePassword("a", "b")).rejects.toMatchObject({ status: 401 });
    expect(onDoubt).not.toHaveBeenCalled();
  });
});
