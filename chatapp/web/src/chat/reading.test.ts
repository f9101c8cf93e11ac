import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { replaceRooms } from "../store/rooms";
import { member, room } from "../testing/fixtures";
import { noAnswer, world } from "../testing/world";
import { Reading } from "./reading";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function start(memberCount: number) {
  const read = vi.fn(async (_room: string, seq: number) => ({ readSeq: seq, unread: 0 }));
  const { core } = world({ read });
  core.changeRooms((rooms) => replaceRooms(rooms, { rooms: [room("r", { memberCount, unread: 1, lastSeq: 1 })], others: [] }));
  const told = () => read.mock.calls.map(([, seq]) => seq);
  return { core, read, told, reading: new Reading(core) };
}

/** Reads a message each second. */
async function readOn(reading: Reading, seconds: number): Promise<void> {
  for (let seq = 1; seq <= seconds; seq++) {
    reading.read("r", seq);
    await vi.advanceTimersByTimeAsync(1_000);
  }
}

describe("Reading", () => {
  it("a small room is told at once, then once a second", async () => {
    const { reading, told } = start(2);
    reading.read("r", 1);
    await vi.advanceTimersByTimeAsync(0);
    for (const seq of [2, 3, 4]) reading.read("r", seq);
    await vi.advanceTimersByTimeAsync(999);
    expect(told()).toEqual([1]);
    await vi.advanceTimersByTimeAsync(1);
    expect(told()).toEqual([1, 4]);
  });

  it("a large room every fifteen seconds or so", async () => {
    const { reading, told } = start(200);
    await readOn(reading, 60);
    expect(told().length).toBeGreaterThanOrEqual(2);
    expect(told().length).toBeLessThanOrEqual(4);
  });

  it("also one that has grown since the list was fetched", async () => {
    const { core, reading, told } = start(2);
    const members = Array.from({ length: 30 }, (_, i) => member({ id: `u${i}`, name: `U${i}` }));
    core.dispatch("r", { type: "members", members, rev: 1 });
    await readOn(reading, 10);
    expect(told()).toEqual([]);
  });

  it("or on leaving", async () => {
    const { reading, told } = start(200);
    reading.attend("r");
    reading.read("r", 7);
    expect(told()).toEqual([]);
    reading.attend(null);
    expect(told()).toEqual([7]);
    await vi.runAllTimersAsync();
    expect(told()).toEqual([7]);
  });

  it("one's own message needs no word", async () => {
    const { core, reading, told } = start(2);
    reading.wrote("r", 9);
    reading.read("r", 9);
    await vi.runAllTimersAsync();
    expect(told()).toEqual([]);
    expect(core.store.get().rooms.mine.get("r")).toMatchObject({ readSeq: 9, unread: 0 });
  });

  it("an old answer about one's own message does not take back what was read since", async () => {
    const { reading, told } = start(2);
    reading.read("r", 12);
    reading.wrote("r", 10);
    await vi.runAllTimersAsync();
    expect(told()).toEqual([12]);
  });

  it("tells again what did not arrive", async () => {
    const { reading, read, told } = start(2);
    read.mockRejectedValueOnce(noAnswer());
    reading.read("r", 3);
    await vi.runAllTimersAsync();
    expect(told()).toEqual([3, 3]);
  });
});
