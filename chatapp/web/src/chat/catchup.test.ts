import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Changes } from "../model";
import { message, room } from "../testing/fixtures";
import { noAnswer, refusal, world } from "../testing/world";
import { ordered } from "../store/timeline";
import { CatchUp } from "./catchup";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const changes = (part: Partial<Changes>): Changes => ({ rev: 0, more: false, channel: "presence-chat-room-r", messages: [], members: [], ...part });

function start(answers: (Changes | Error)[]) {
  const api = {
    messages: vi.fn(async () => ({ messages: [message(1), message(2)], rev: 2, more: false })),
    room: vi.fn(async () => ({ room: room("r", { rev: 2 }), members: [] })),
    changes: vi.fn(async () => {
      const answer = answers.shift() ?? changes({ rev: 99 });
      if (answer instanceof Error) throw answer;
      return answer;
    }),
  };
  const { core, page } = world(api);
  const hooks = { channel: vi.fn(), denied: vi.fn(), repeated: vi.fn(() => false) };
  const catchUp = new CatchUp(core, hooks);
  const seqs = () => ordered(core.room("r").rows).map((each) => each.seq);
  const hear = (rev: number) => core.dispatch("r", { type: "event", event: { rev, fetch: true } });
  return { api, core, page, hooks, catchUp, seqs, hear };
}

describe("CatchUp", () => {
  it("loads the first page, then asks only for what is missing", async () => {
    const { catchUp, api, seqs, hear } = start([changes({ rev: 3, messages: [message(3)] })]);
    await catchUp.fetch("r");
    await catchUp.fetch("r");
    expect(api.changes).not.toHaveBeenCalled();
    hear(3);
    await catchUp.fetch("r");
    expect(api.changes).toHaveBeenCalledExactlyOnceWith("r", 2);
    expect(seqs()).toEqual([1, 2, 3]);
  });

  it("many reasons at once make one request, and one more for what came meanwhile", async () => {
    const { catchUp, api } = start([changes({ rev: 2 }), changes({ rev: 2 })]);
    await catchUp.fetch("r");
    await Promise.all(Array.from({ length: 10 }, () => catchUp.fetch("r", true)));
    expect(api.changes).toHaveBeenCalledTimes(2);
  });

  it("tries again while something is missing", async () => {
    const { catchUp, api, seqs, hear } = start([noAnswer(), refusal(503, "busy"), changes({ rev: 3, messages: [message(3)] })]);
    await catchUp.fetch("r");
    hear(3);
    void catchUp.fetch("r");
    await vi.runAllTimersAsync();
    expect(api.changes).toHaveBeenCalledTimes(3);
    expect(seqs()).toEqual([1, 2, 3]);
  });

  it("leaves the next attempt to whoever polls", async () => {
    const { catchUp, api, hooks } = start([noAnswer()]);
    hooks.repeated.mockReturnValue(true);
    await catchUp.fetch("r");
    await catchUp.fetch("r", true);
    await vi.runAllTimersAsync();
    expect(api.changes).toHaveBeenCalledTimes(1);
  });

  it("asks for nothing while nobody looks, and remembers that it should", async () => {
    const { catchUp, api, page } = start([changes({ rev: 2 })]);
    await catchUp.fetch("r");
    page.hide();
    await catchUp.fetch("r", true);
    expect(api.changes).not.toHaveBeenCalled();
    expect(catchUp.postponed("r")).toBe(true);
    page.show();
    await catchUp.fetch("r", true);
    expect(api.changes).toHaveBeenCalledTimes(1);
    expect(catchUp.postponed("r")).toBe(false);
  });

  it("starts afresh when there is too much", async () => {
    const pages = Array.from({ length: 9 }, (_, i) => changes({ rev: 3 + i, more: true }));
    const { catchUp, api, core, hear } = start(pages);
    await catchUp.fetch("r");
    hear(2_000);
    api.room.mockResolvedValueOnce({ room: room("r", { rev: 2_000 }), members: [] });
    api.messages.mockResolvedValueOnce({ messages: [message(2_000)], rev: 2_000, more: true });
    await catchUp.fetch("r");
    expect(api.changes.mock.calls.length).toBeLessThan(9);
    expect(core.room("r").have).toBe(2_000);
    expect(api.messages).toHaveBeenCalledTimes(2);
  });

  it("says what the room's channel is now, and when the room is not ours", async () => {
    const { catchUp, hooks } = start([changes({ rev: 2, channel: "presence-chat-room-r-2" }), refusal(404, "no_such_room")]);
    await catchUp.fetch("r");
    await catchUp.fetch("r", true);
    expect(hooks.channel).toHaveBeenLastCalledWith("r", "presence-chat-room-r-2");
    await catchUp.fetch("r", true);
    expect(hooks.denied).toHaveBeenCalledExactlyOnceWith("r");
  });
});
