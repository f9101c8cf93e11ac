import { describe, expect, it } from "vitest";
import type { Changes, Page } from "../model";
import { BO, ME, member, message } from "../testing/fixtures";
import { behind, NEW_ROOM, reduceRoom, type RoomAction, type RoomState } from "./room";
import { ordered } from "./timeline";

const page = (seqs: number[], rev: number, more = false): Page => ({ messages: seqs.map((s) => message(s)), rev, more });
const changes = (part: Partial<Changes>): Changes => ({ rev: 0, more: false, channel: "", messages: [], members: [], ...part });
const run = (room: RoomState, ...actions: RoomAction[]): RoomState => actions.reduce(reduceRoom, room);
const seqs = (room: RoomState): number[] => ordered(room.rows).map((r) => r.seq);
const said = (rev: number): RoomAction => ({ type: "event", event: { rev, message: message(rev) } });

const loaded = run(NEW_ROOM, { type: "newest", page: page([1, 2, 3], 3) });

describe("revisions", () => {
  it("takes the next one, drops a repeat", () => {
    const next = run(loaded, said(4));
    expect(next.have).toBe(4);
    expect(seqs(next)).toEqual([1, 2, 3, 4]);
    expect(run(next, said(4))).toBe(next);
    expect(run(next, said(2))).toBe(next);
    expect(behind(next)).toBe(false);
  });

  it("a gap shows nothing out of turn, and changes close it", () => {
    const gap = run(loaded, said(6));
    expect(behind(gap)).toBe(true);
    expect(seqs(gap)).toEqual([1, 2, 3]);
    const closed = run(gap, { type: "changes", changes: changes({ rev: 6, messages: [message(4), message(5), message(6)] }) });
    expect(behind(closed)).toBe(false);
    expect(seqs(closed)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(run(closed, said(6))).toBe(closed);
  });

  it("an event that only says fetch is a gap", () => {
    const room = run(loaded, { type: "event", event: { rev: 4, fetch: true } });
    expect(room.have).toBe(3);
    expect(behind(room)).toBe(true);
  });

  it("events before the first page are remembered, not shown", () => {
    const early = run(NEW_ROOM, said(5));
    expect(behind(early)).toBe(false);
    expect(seqs(early)).toEqual([]);
    expect(behind(run(early, { type: "newest", page: page([1, 2, 3], 3) }))).toBe(true);
    expect(behind(run(early, { type: "newest", page: page([4, 5], 5) }))).toBe(false);
  });

  it("the answer to one's own POST does not hide what came before it", () => {
    const mine = run(loaded, { type: "answer", message: message(5, { user: ME }) });
    expect(mine.have).toBe(3);
    expect(seqs(mine)).toEqual([1, 2, 3, 5]);
    const both = run(mine, said(4), { type: "event", event: { rev: 5, message: message(5, { user: ME }) } });
    expect(both.have).toBe(5);
    expect(seqs(both)).toEqual([1, 2, 3, 4, 5]);
  });

  it("several pages of changes", () => {
    const room = run(loaded, said(9),
      { type: "changes", changes: changes({ rev: 5, more: true, messages: [message(4), message(5)] }) });
    expect(behind(room)).toBe(true);
    expect(behind(run(room, { type: "changes", changes: changes({ rev: 9, messages: [message(9)] }) }))).toBe(false);
  });

  it("older changes that come late do not step back", () => {
    const room = run(loaded, said(4), { type: "changes", changes: changes({ rev: 3 }) });
    expect(room.have).toBe(4);
  });

  it("settles when the server has no more than we have", () => {
    const room = run(loaded, said(9), { type: "settle" });
    expect(behind(room)).toBe(false);
    expect(room.have).toBe(3);
    expect(run(room, { type: "settle" })).toBe(room);
  });
});

describe("history", () => {
  const deep = run(NEW_ROOM, { type: "newest", page: page([50, 51], 51, true) });

  it("an older page goes above and says whether there is more", () => {
    const room = run(deep, { type: "older", page: page([48, 49], 51, false) });
    expect(seqs(room)).toEqual([48, 49, 50, 51]);
    expect(room.more).toBe(false);
    expect(room.floor).toBe(0);
    expect(behind(room)).toBe(false);
  });

  it("an edit far above makes no lone row", () => {
    const room = run(deep, { type: "event", event: { rev: 52, message: message(7, { rev: 52 }) } });
    expect(room.have).toBe(52);
    expect(seqs(room)).toEqual([50, 51]);
  });

  it("an edit that passed while its page was under way is asked for again", () => {
    const passed = run(deep, { type: "event", event: { rev: 52, message: message(49, { rev: 52, text: "edited" }) } });
    const room = run(passed, { type: "older", page: page([48, 49], 51) });
    expect(behind(room)).toBe(true);
    const healed = run(room, { type: "changes", changes: changes({ rev: 52, messages: [message(49, { rev: 52, text: "edited" })] }) });
    expect(healed.rows.get("c49")?.text).toBe("edited");
    expect(behind(healed)).toBe(false);
  });

  it("a fresh start leaves no hole and keeps what is unsent", () => {
    const draft = { ...ordered(deep.rows)[0]!, clientId: "mine", state: "pending" as const, id: "", seq: 0, rev: 0 };
    const room = run(deep, { type: "begin", row: draft }, { type: "newest", page: page([2000, 2001], 2001, true) });
    expect(ordered(room.rows).map((r) => r.clientId)).toEqual(["c2000", "c2001", "mine"]);
    expect(room.floor).toBe(2000);
  });
});

describe("members", () => {
  const withBoth: RoomAction = { type: "members", members: [member(ME), member(BO, { readSeq: 2, readRev: 2 })], rev: 3 };

  it("reads go forward only, by the event's revision", () => {
    const room = run(loaded, withBoth, { type: "event", event: { rev: 4, reads: [{ user: "bo", seq: 3 }] } });
    expect(room.members.get("bo")).toMatchObject({ readSeq: 3, readRev: 4 });
    const late = run(room, { type: "changes", changes: changes({ rev: 4, members: [member(BO, { readSeq: 2, readRev: 2 })] }) });
    expect(late.members.get("bo")?.readSeq).toBe(3);
  });

  it("membership and reading have a revision each", () => {
    const room = run(loaded, withBoth, {
      type: "event", event: { rev: 4, members: [member(BO, { rev: 4, active: false, readSeq: 0, readRev: 0 })] },
    });
    expect(room.members.get("bo")).toMatchObject({ active: false, readSeq: 2, readRev: 2 });
  });

  it("a full list shows who has left", () => {
    const room = run(loaded, withBoth, { type: "members", members: [member(ME)], rev: 3 });
    expect(room.members.get("bo")?.active).toBe(false);
  });

  it("a full list that is older than what we have is caught up with", () => {
    const room = run(loaded, said(4), withBoth);
    expect(behind(room)).toBe(true);
  });
});
