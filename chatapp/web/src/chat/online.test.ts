import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { world } from "../testing/world";
import { OnlinePeople } from "./online";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function start(ids: string[]) {
  let answer = () => undefined as void;
  const online = vi.fn(() => new Promise<{ online: string[] }>((resolve) => { answer = () => resolve({ online: ids }); }));
  const { core, page } = world({ online });
  const people = new OnlinePeople(core);
  return { people, page, online, answers: async () => { answer(); await vi.advanceTimersByTimeAsync(0); }, known: () => [...core.store.get().online] };
}

describe("OnlinePeople", () => {
  it("asks once, and is kept up by events", async () => {
    const { people, online, answers, known } = start(["bo", "cy"]);
    people.fetchSoon(0);
    people.fetchSoon(0);
    await vi.runAllTimersAsync();
    await answers();
    people.change({ online: ["di"], offline: ["bo"] });
    expect([online.mock.calls.length, known()]).toEqual([1, ["cy", "di"]]);
  });

  it("what comes before the answer is newer than it", async () => {
    const { people, answers, known } = start(["bo", "cy"]);
    people.fetchSoon(0);
    await vi.runAllTimersAsync();
    people.change({ offline: ["bo"] });
    people.change({ online: ["di"] });
    await answers();
    expect(known()).toEqual(["cy", "di"]);
  });

  it("asks when somebody looks, and knows nobody without a connection", async () => {
    const { people, page, online, answers, known } = start(["bo"]);
    page.hide();
    people.change({ fetch: true });
    await vi.runAllTimersAsync();
    expect(online).not.toHaveBeenCalled();
    page.show();
    people.seen();
    await answers();
    expect(known()).toEqual(["bo"]);
    people.lost();
    expect(known()).toEqual([]);
  });
});
