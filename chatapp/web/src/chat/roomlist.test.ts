import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BO, message, room } from "../testing/fixtures";
import { noAnswer, world } from "../testing/world";
import { RoomList } from "./roomlist";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function start(failures: Error[] = []) {
  const rooms = vi.fn(async () => {
    const failure = failures.shift();
    if (failure) throw failure;
    return { rooms: [room("r", { lastSeq: 5, readSeq: 5 }), room("s")], others: [] };
  });
  const { core, page } = world({ rooms });
  const hooks = { gone: vi.fn(), listed: vi.fn() };
  const list = new RoomList(core, hooks);
  await list.fetch();
  rooms.mockClear();
  const unread = () => core.store.get().rooms.mine.get("r")?.unread;
  const news = (rev: number, part = {}) => ({ room: "r", rev, seq: rev, by: BO, createdAt: 1, ...part });
  return { core, page, hooks, list, rooms, unread, news };
}

describe("RoomList", () => {
  it("counts news by itself: no list for a message", async () => {
    const { list, rooms, unread, news } = await start();
    for (const rev of [6, 7, 8]) list.news(news(rev), false);
    list.news(news(8), false);
    list.news(news(9, { seq: 7, deleted: true }), false);
    list.news(news(9, { seq: 7, deleted: true }), false);
    await vi.runAllTimersAsync();
    expect(unread()).toBe(2);
    expect(rooms).not.toHaveBeenCalled();
  });

  it("does not count what is being read", async () => {
    const { list, unread, news } = await start();
    list.news(news(6), true);
    expect(unread()).toBe(0);
  });

  it.each([["after an outage", { fetch: true }], ["of a room that it does not know", { room: "new" }]])("news %s fetch the list, once", async (_, part) => {
    const { list, rooms, news } = await start();
    for (const rev of [6, 7, 8]) list.news(news(rev, part), false);
    await vi.runAllTimersAsync();
    expect(rooms).toHaveBeenCalledTimes(1);
  });

  it("is fetched when somebody looks, not before", async () => {
    const { list, page, rooms, news } = await start();
    page.hide();
    list.news(news(6, { fetch: true }), false);
    await vi.runAllTimersAsync();
    expect(rooms).not.toHaveBeenCalled();
    page.show();
    list.seen();
    list.seen();
    expect(rooms).toHaveBeenCalledTimes(1);
  });

  it("that was on its way while we came into a room does not put us out", async () => {
    const { core, list, rooms, hooks } = await start();
    let answer = (_: object) => {};
    rooms.mockReturnValueOnce(new Promise((resolve) => (answer = resolve as typeof answer)));
    const fetched = list.fetch();
    list.put(room("new"));
    core.store.patch({ open: room("new") });
    rooms.mockResolvedValueOnce({ rooms: [room("r"), room("new")], others: [] });
    answer({ rooms: [room("r")], others: [room("new", { member: false })] });
    expect(await fetched).toBe(true);
    expect(hooks.gone).not.toHaveBeenCalled();
    expect([...core.store.get().rooms.mine.keys()]).toEqual(["r", "new"]);
  });

  it("does not bring back a room that we left meanwhile", async () => {
    const { core, list, rooms } = await start();
    let answer = (_: object) => {};
    rooms.mockReturnValueOnce(new Promise((resolve) => (answer = resolve as typeof answer)));
    rooms.mockResolvedValue({ rooms: [room("r")], others: [] });
    const fetched = list.fetch();
    list.remove("s");
    answer({ rooms: [room("r"), room("s")], others: [] });
    await fetched;
    expect(core.store.get().rooms.mine.has("s")).toBe(false);
  });

  it("of an earlier request does not replace that of a later one", async () => {
    const { core, list, rooms, hooks } = await start();
    let early = (_: object) => {};
    rooms.mockReturnValueOnce(new Promise((resolve) => (early = resolve as typeof early)));
    const first = list.fetch();
    rooms.mockResolvedValueOnce({ rooms: [room("r"), room("new")], others: [] });
    await list.fetch();
    core.store.patch({ open: room("new") });
    early({ rooms: [room("r")], others: [] });
    expect(await first).toBe(true);
    expect(core.store.get().rooms.mine.has("new")).toBe(true);
    expect(hooks.gone).not.toHaveBeenCalled();
  });

  it("is asked for again until the server answers", async () => {
    const { list, rooms, hooks } = await start();
    rooms.mockRejectedValueOnce(noAnswer()).mockRejectedValueOnce(noAnswer());
    list.fetchSoon();
    await vi.runAllTimersAsync();
    expect(rooms).toHaveBeenCalledTimes(3);
    expect(hooks.listed).toHaveBeenCalledTimes(2);
  });

  it("what another tab has read is counted from the rows, or fetched", async () => {
    const { core, list, rooms, unread, news } = await start();
    for (const rev of [6, 7, 8]) list.news(news(rev), false);
    list.readElsewhere("r", 7);
    await vi.runAllTimersAsync();
    expect(rooms).toHaveBeenCalledTimes(1);
    core.dispatch("r", { type: "newest", page: { messages: [6, 7, 8, 9].map((seq) => message(seq)), rev: 9, more: false } });
    list.news(news(9), false);
    list.readElsewhere("r", 8);
    expect(unread()).toBe(1);
    list.readElsewhere("r", 9);
    await vi.runAllTimersAsync();
    expect([unread(), rooms.mock.calls.length]).toEqual([0, 1]);
  });

  it("tells when a room is gone", async () => {
    const { core, list, hooks, rooms } = await start();
    list.remove("r");
    expect(hooks.gone).toHaveBeenCalledWith("r");
    core.store.patch({ open: room("s") });
    rooms.mockResolvedValueOnce({ rooms: [], others: [] });
    await list.fetch();
    expect(hooks.gone).toHaveBeenLastCalledWith("s");
    expect(core.store.get().rooms.mine.size).toBe(0);
  });
});
