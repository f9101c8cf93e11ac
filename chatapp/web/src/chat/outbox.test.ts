import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ME, message } from "../testing/fixtures";
import { FakePage, noAnswer, refusal, world } from "../testing/world";
import { draftRow, ordered } from "../store/timeline";
import { Drafts } from "./drafts";
import { Outbox } from "./outbox";

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => void vi.useRealTimers());

const row = (clientId: string) => draftRow(clientId, ME, `text of ${clientId}`, Date.now() * 1000);

/** A server that fails as it is told, and stores each client id once. */
function start(failures: (Error | "lost")[] = [], page = new FakePage()) {
  const stored: string[] = [];
  const asked: string[] = [];
  const sendMessage = vi.fn(async (_room: string, clientId: string, text: string) => {
    asked.push(clientId);
    const failure = failures.shift();
    if (failure instanceof Error) throw failure;
    if (!stored.includes(clientId)) stored.push(clientId);
    if (failure === "lost") throw noAnswer();
    return { message: message(stored.indexOf(clientId) + 1, { clientId, text, user: ME }) };
  });
  const { core } = world({ sendMessage }, page);
  const drafts = new Drafts(page.keep, ME.id);
  const outbox = new Outbox(core, drafts, () => undefined);
  const states = () => ordered(core.room("r").rows).map((each) => `${each.clientId} ${each.state}`);
  return { core, drafts, outbox, stored, asked, states, page };
}

describe("Outbox", () => {
  it("shows a message at once, sends it and keeps nothing", async () => {
    const { outbox, states, drafts } = start();
    const sent = outbox.send("r", row("a"));
    expect(states()).toEqual(["a pending"]);
    expect(drafts.unsent()).toHaveLength(1);
    await sent;
    expect(states()).toEqual(["a sent"]);
    expect(drafts.unsent()).toEqual([]);
  });

  it("sends what failed for a passing reason again, by itself and in order", async () => {
    const { outbox, states, stored, asked } = start([noAnswer(), refusal(503, "busy")]);
    await outbox.send("r", row("a"));
    void outbox.send("r", row("b"));
    await vi.advanceTimersByTimeAsync(0);
    expect(states()).toEqual(["a waiting", "b waiting"]);
    await vi.runAllTimersAsync();
    expect(stored).toEqual(["a", "b"]);
    expect(asked.at(-1)).toBe("b");
    expect(states()).toEqual(["a sent", "b sent"]);
  });

  it("does not wait when the connection is back", async () => {
    const { outbox, stored } = start([noAnswer()]);
    await outbox.send("r", row("a"));
    outbox.wake();
    await vi.advanceTimersByTimeAsync(0);
    expect(stored).toEqual(["a"]);
  });

  it("an answer that is lost makes no second message", async () => {
    const { outbox, stored, states } = start(["lost"]);
    await outbox.send("r", row("a"));
    await vi.runAllTimersAsync();
    expect(stored).toEqual(["a"]);
    expect(states()).toEqual(["a sent"]);
  });

  it("an event that shows it sent spares the repeat", async () => {
    const { core, outbox, asked, drafts } = start(["lost"]);
    await outbox.send("r", row("a"));
    core.dispatch("r", { type: "answer", message: message(1, { clientId: "a", user: ME }) });
    await vi.runAllTimersAsync();
    expect(asked).toEqual(["a"]);
    expect(drafts.unsent()).toEqual([]);
  });

  it("what the server refuses is kept and shown, and does not hold up the next", async () => {
    const { outbox, states, drafts } = start([refusal(400, "text_too_long")]);
    await outbox.send("r", row("a"));
    await outbox.send("r", row("b"));
    await vi.runAllTimersAsync();
    expect(states()).toEqual(["b sent", "a failed"]);
    expect(drafts.unsent()).toMatchObject([{ clientId: "a", problem: "No." }]);
  });

  it("survives a reload: what waits is sent, what was refused is shown", async () => {
    const before = start([noAnswer(), noAnswer()]);
    await before.outbox.send("r", row("a"));
    before.core.stopped = true;
    before.drafts.putUnsent({ room: "r", clientId: "no", text: "refused", createdAt: 0, problem: "No." });

    const after = start([], before.page);
    after.outbox.restore();
    expect(after.states()).toEqual(["a pending", "no failed"]);
    await vi.runAllTimersAsync();
    expect(after.stored).toEqual(["a"]);
    expect(after.states()).toEqual(["a sent", "no failed"]);
  });

  it("what is a day old waits for a word of its writer", async () => {
    const { outbox, drafts, states, stored } = start();
    drafts.putUnsent({ room: "r", clientId: "old", text: "Good morning", createdAt: 0, problem: "" });
    outbox.restore(25 * 3600 * 1_000_000);
    await vi.runAllTimersAsync();
    expect(stored).toEqual([]);
    expect(states()).toEqual(["old failed"]);
  });

  it("a session that has ended stops it, and loses nothing", async () => {
    const { outbox, drafts, asked } = start([refusal(401, "not_signed_in")]);
    await outbox.send("r", row("a"));
    await vi.runAllTimersAsync();
    expect(asked).toEqual(["a"]);
    expect(drafts.unsent()).toMatchObject([{ clientId: "a", problem: "" }]);
  });

  it("a message can be taken back while it waits", async () => {
    const { outbox, drafts, states, stored } = start([noAnswer()]);
    await outbox.send("r", row("a"));
    outbox.discard("r", "a");
    await vi.runAllTimersAsync();
    expect([stored, states(), drafts.unsent()]).toEqual([[], [], []]);
  });
});

describe("Drafts", () => {
  it("are each user's own, by room, and another page's too", () => {
    const { keep } = new FakePage();
    const mine = new Drafts(keep, "me");
    mine.setText("r", "half a sentence");
    mine.setEdit("r", { clientId: "c1", text: "bett" });
    expect(new Drafts(keep, "me").text("r")).toBe("half a sentence");
    expect(new Drafts(keep, "me").edit("r")).toEqual({ clientId: "c1", text: "bett" });
    expect([mine.text("other"), new Drafts(keep, "bo").text("r")]).toEqual(["", ""]);
  });

  it("are forgotten on signing out, and only mine", () => {
    const { keep } = new FakePage();
    const [mine, others] = [new Drafts(keep, "me"), new Drafts(keep, "bo")];
    for (const each of [mine, others]) each.setText("r", "text");
    mine.clear();
    expect([mine.text("r"), others.text("r")]).toEqual(["", "text"]);
  });

  it("nonsense in the storage is nothing", () => {
    const { keep } = new FakePage();
    keep.set("chat.typed.me.unsent", "{broken");
    expect(new Drafts(keep, "me").unsent()).toEqual([]);
  });
});
