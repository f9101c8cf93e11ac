import { describe, expect, it } from "vitest";
import type { Room } from "../model";
import { BO, ME, message, room } from "../testing/fixtures";
import { NO_ROOMS, putMessage, putNewsTime, putReadPosition, putRoom, putUnread, removeRoom, replaceRooms, sections, takeUnread, totalUnread, unreadLabel, type Rooms } from "./rooms";
import { merge, NO_ROWS, ordered } from "./timeline";
import { unreadIn } from "./unread";

describe("unread counts", () => {
  const read = putReadPosition(replaceRooms(NO_ROOMS, { rooms: [room("r", { unread: 3, readSeq: 2 })], others: [] }), "r", { readSeq: 5, unread: 0 });

  it("a list that was made before we read on does not bring the count back", () => {
    const late = replaceRooms(read, { rooms: [room("r", { unread: 3, readSeq: 2 })], others: [] });
    expect(late.mine.get("r")).toMatchObject({ unread: 0, readSeq: 5 });
  });

  it("a list as new as our reading brings new counts", () => {
    const news = replaceRooms(read, { rooms: [room("r", { unread: 1, readSeq: 5 })], others: [] });
    expect(news.mine.get("r")?.unread).toBe(1);
  });

  it("a read position never goes back, and comes from any tab", () => {
    expect(putReadPosition(read, "r", { readSeq: 4, unread: 9 })).toBe(read);
    expect(putReadPosition(read, "r", { readSeq: 7, unread: 2 }).mine.get("r")).toMatchObject({ readSeq: 7, unread: 2 });
    expect(putReadPosition(read, "gone", { readSeq: 7, unread: 2 })).toBe(read);
  });

  it("counts others' messages past what I have read, without deleted ones", () => {
    const rows = ordered(merge(NO_ROWS, [message(1), message(2), message(3, { user: ME }), message(4, { deleted: true }), message(5)]));
    expect(unreadIn(rows, 1, "me")).toBe(2);
    expect(unreadIn(rows, 5, "me")).toBe(0);
  });

  const listed = (part: Partial<Room>) => replaceRooms(NO_ROOMS, { rooms: [room("r", part)], others: [] });
  const unread = (rooms: Rooms) => rooms.mine.get("r")?.unread;

  it("counts each message once, whoever speaks of it first", () => {
    const first = putUnread(listed({ readSeq: 5, lastSeq: 5 }), "r", 6);
    expect(unread(first)).toBe(1);
    expect(putUnread(first, "r", 6)).toBe(first);
    expect(unread(putMessage(first, "r", message(6), "me"))).toBe(1);
    expect(unread(putMessage(first, "r", message(7), "me"))).toBe(2);
    expect(unread(putMessage(first, "r", message(7, { user: ME }), "me"))).toBe(1);
  });

  it("does not count what is read, and stops at the limit", () => {
    expect(unread(putUnread(listed({ readSeq: 9, lastSeq: 5 }), "r", 6))).toBe(0);
    expect(unread(putUnread(listed({ unread: 100, lastSeq: 5 }), "r", 6))).toBe(100);
  });

  it("a deletion takes one away, unless it was read or there may be more", () => {
    expect(unread(takeUnread(listed({ unread: 2, readSeq: 3, lastSeq: 6 }), "r", 6))).toBe(1);
    expect(unread(takeUnread(listed({ unread: 2, readSeq: 6, lastSeq: 9 }), "r", 6))).toBe(2);
    expect(unread(takeUnread(listed({ unread: 100, lastSeq: 200 }), "r", 150))).toBe(100);
    expect(unread(takeUnread(listed({ unread: 0, lastSeq: 9 }), "r", 9))).toBe(0);
  });

  it("a list whose read position lags brings the messages that came since", () => {
    const here = listed({ readSeq: 8, unread: 0, lastSeq: 8 });
    expect(unread(replaceRooms(here, { rooms: [room("r", { readSeq: 6, unread: 5, lastSeq: 12 })], others: [] }))).toBe(5);
    expect(unread(replaceRooms(here, { rooms: [room("r", { readSeq: 6, unread: 2, lastSeq: 8 })], others: [] }))).toBe(0);
  });

  it("a list that news have overtaken does not take them back", () => {
    const ahead = putUnread(listed({ readSeq: 5, lastSeq: 5 }), "r", 6);
    const late = replaceRooms(ahead, { rooms: [room("r", { readSeq: 5, lastSeq: 5 })], others: [] });
    expect(late.mine.get("r")).toMatchObject({ unread: 1, lastSeq: 6 });
  });

  it.each([[1, "1"], [99, "99"], [100, "99+"]] as const)("label of %d", (n, want) => expect(unreadLabel(n)).toBe(want));

  it("adds up for the title", () => {
    expect(totalUnread(replaceRooms(NO_ROOMS, { rooms: [room("a", { unread: 2 }), room("b", { unread: 3 })], others: [] }))).toBe(5);
  });
});

describe("the list", () => {
  it("the general room first, the others by name, people by the latest message", () => {
    const rooms = replaceRooms(NO_ROOMS, {
      rooms: [
        room("x", { name: "xylophone" }), room("g", { name: "general" }), room("b", { name: "birds" }),
        room("d1", { kind: "direct", name: "Bo", with: BO, last: message(1) }),
        room("d2", { kind: "direct", name: "Cy", with: BO, last: message(9) }),
      ],
      others: [],
    });
    const got = sections(rooms, "g");
    expect(got.rooms.map((r) => r.id)).toEqual(["g", "b", "x"]);
    expect(got.people.map((r) => r.id)).toEqual(["d2", "d1"]);
  });

  it("are listed by name as people count", () => {
    const named = ["Room 10", "room 9", "Room 1"].map((name, i) => room(`r${i}`, { name }));
    const rooms = replaceRooms(NO_ROOMS, { rooms: named, others: named.map((r) => ({ ...r, member: false })) });
    expect(sections(rooms, "g").rooms.map((r) => r.name)).toEqual(["Room 1", "room 9", "Room 10"]);
    expect(rooms.others.map((r) => r.name)).toEqual(["Room 1", "room 9", "Room 10"]);
  });

  it("news of a person bring them to the top", () => {
    const rooms = replaceRooms(NO_ROOMS, {
      rooms: [room("d1", { kind: "direct", name: "Bo", with: BO, last: message(5) }), room("d2", { kind: "direct", name: "Cy", with: BO, last: message(9) })],
      others: [],
    });
    expect(sections(putNewsTime(rooms, "d1", 10_000_000), "g").people.map((r) => r.id)).toEqual(["d1", "d2"]);
  });

  it("joining moves a room over, leaving takes it away", () => {
    const rooms = replaceRooms(NO_ROOMS, { rooms: [], others: [room("r", { member: false })] });
    const joined = putRoom(rooms, room("r"));
    expect([joined.mine.has("r"), joined.others]).toEqual([true, []]);
    expect(removeRoom(joined, "r").mine.has("r")).toBe(false);
    expect(putRoom(joined, room("r", { member: false })).mine.has("r")).toBe(false);
  });

  it("the last message is the newest version of the newest", () => {
    const rooms = putMessage(replaceRooms(NO_ROOMS, { rooms: [room("r")], others: [] }), "r", message(5), "me");
    expect(putMessage(rooms, "r", message(4), "me")).toBe(rooms);
    expect(putMessage(rooms, "r", message(5), "me")).toBe(rooms);
    expect(putMessage(rooms, "r", message(5, { rev: 6, text: "edited" }), "me").mine.get("r")?.last?.text).toBe("edited");
  });
});
