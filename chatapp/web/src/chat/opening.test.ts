import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { RoomWithMembers } from "../model";
import { room } from "../testing/fixtures";
import { noAnswer, refusal, world } from "../testing/world";
import { Opening } from "./opening";
import { RoomList } from "./roomlist";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function start() {
  const answers: { resolve: (got: RoomWithMembers) => void; reject: (problem: Error) => void }[] = [];
  const { core } = world({
    room: () => new Promise<RoomWithMembers>((resolve, reject) => { answers.push({ resolve, reject }); }),
    leave: async () => ({}),
    rooms: async () => ({ rooms: [room("g")], others: [] }),
  });
  const list: RoomList = new RoomList(core, { gone: (id) => opening.lost(id), listed: () => undefined });
  const entered = vi.fn();
  const opening = new Opening(core, list, entered);
  list.put(room("g"));
  return { core, opening, entered, answers, open: () => core.store.get().open?.id, lost: () => core.store.get().lost };
}

describe("Opening", () => {
  it("a room of mine is open at once", () => {
    const { opening, open, entered } = start();
    void opening.open("g");
    expect(open()).toBe("g");
    expect(entered).toHaveBeenCalledTimes(1);
  });

  it("turning back on the way to a room stays where one turned back to", async () => {
    const { opening, answers, open } = start();
    void opening.open("g");
    void opening.open("far");
    void opening.open("g");
    answers[0]?.resolve({ room: room("far"), members: [] });
    await vi.runAllTimersAsync();
    expect(open()).toBe("g");
  });

  it("asks again without an answer, and gives up at a refusal", async () => {
    const { core, opening, answers, open, lost } = start();
    void opening.open("far");
    answers[0]?.reject(noAnswer());
    await vi.runAllTimersAsync();
    answers[1]?.reject(refusal(404, "no_such_room"));
    await vi.runAllTimersAsync();
    expect([answers.length, open(), lost()]).toEqual([2, undefined, "far"]);
    expect(core.store.get().notice).toMatch("no such room");
  });

  it("a notice stays when the page opens a room by itself, and goes when one goes on", async () => {
    const { core, opening, answers } = start();
    core.notice("You are Bo here now");
    void opening.open("g");
    opening.put(room("g"));
    expect(core.store.get().notice).toBe("You are Bo here now");
    void opening.open("far");
    answers[0]?.resolve({ room: room("far"), members: [] });
    await vi.runAllTimersAsync();
    expect(core.store.get().notice).toBe("");
  });

  it("what failed attempts said is gone when one succeeds", async () => {
    const { core, opening, answers } = start();
    void opening.open("far");
    answers[0]?.reject(noAnswer());
    await vi.advanceTimersByTimeAsync(0);
    expect(core.store.get().notice).not.toBe("");
    await vi.runAllTimersAsync();
    answers[1]?.resolve({ room: room("far"), members: [] });
    await vi.runAllTimersAsync();
    expect(core.store.get().notice).toBe("");
  });

  it("leaving by one's own will is no news", async () => {
    const { core, opening, open } = start();
    void opening.open("g");
    await opening.leave("g");
    expect([open(), core.store.get().notice]).toEqual([undefined, ""]);
  });

  it("says once that one was removed, and from where", () => {
    const { core, opening, open, entered } = start();
    void opening.open("g");
    opening.lost("g");
    opening.lost("g");
    expect([open(), core.store.get().notice]).toEqual([undefined, `You are no longer a member of #${room("g").name}.`]);
    expect(entered.mock.calls.filter(([now]) => now === null)).toHaveLength(1);
  });
});
