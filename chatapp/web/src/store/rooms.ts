import type { Message, ReadPosition, Room, RoomLists } from "../model";

/** The rooms of the list on the left: mine, and open ones that I could join. */
export type Rooms = { readonly mine: ReadonlyMap<string, Room>; readonly others: readonly Room[] };

export const NO_ROOMS: Rooms = { mine: new Map(), others: [] };

/** The server counts up to here; the number means "this many or more". */
export const UNREAD_LIMIT = 100;

/**
 * A room's newer state over the older. Answers can overtake each other: a
 * count that was made before we read on is not news.
 */
function newer(have: Room | undefined, got: Room): Room {
  if (!have) return got;
  const reading = got.readSeq < have.readSeq ? { readSeq: have.readSeq, unread: have.unread } : {};
  const last = have.last && got.last && have.last.seq > got.last.seq ? { last: have.last, lastSeq: have.lastSeq } : {};
  return { ...got, ...reading, ...last };
}

/** A fresh list: rooms that are not on it are gone. */
export function replaceRooms(rooms: Rooms, got: RoomLists): Rooms {
  const mine = new Map(got.rooms.map((room) => [room.id, newer(rooms.mine.get(room.id), room)]));
  return { mine, others: got.others };
}

export function putRoom(rooms: Rooms, room: Room): Rooms {
  if (!room.member) return removeRoom(rooms, room.id);
  const mine = new Map(rooms.mine).set(room.id, newer(rooms.mine.get(room.id), room));
  return { mine, others: rooms.others.filter((other) => other.id !== room.id) };
}

export function removeRoom(rooms: Rooms, id: string): Rooms {
  if (!rooms.mine.has(id)) return rooms;
  const mine = new Map(rooms.mine);
  mine.delete(id);
  return { ...rooms, mine };
}

/** How far I have read, as any of my tabs or the server says it. It never goes back. */
export function putReadPosition(rooms: Rooms, id: string, position: ReadPosition): Rooms {
  const room = rooms.mine.get(id);
  if (!room || position.readSeq < room.readSeq) return rooms;
  return { ...rooms, mine: new Map(rooms.mine).set(id, { ...room, ...position }) };
}

/** Keeps the list's last message in step with what the open room shows. */
export function putLast(rooms: Rooms, id: string, message: Message): Rooms {
  const room = rooms.mine.get(id);
  if (!room || (room.last && room.last.seq > message.seq)) return rooms;
  if (room.last?.seq === message.seq && room.last.rev >= message.rev) return rooms;
  const lastSeq = Math.max(room.lastSeq, message.seq);
  return { ...rooms, mine: new Map(rooms.mine).set(id, { ...room, last: message, lastSeq }) };
}

/** The list's two parts: rooms by name with the general one first, then people, the latest first. */
export function sections(rooms: Rooms, general: string): { rooms: Room[]; people: Room[] } {
  const all = [...rooms.mine.values()];
  const first = (room: Room) => (room.id === general ? 0 : 1);
  return {
    rooms: all.filter((r) => r.kind !== "direct").sort((a, b) => first(a) - first(b) || a.name.localeCompare(b.name)),
    people: all.filter((r) => r.kind === "direct")
      .sort((a, b) => (b.last?.createdAt ?? 0) - (a.last?.createdAt ?? 0) || a.name.localeCompare(b.name)),
  };
}

/** What a badge says. */
export function unreadLabel(unread: number): string {
  return unread >= UNREAD_LIMIT ? "99+" : String(unread);
}

/** All unread messages together, for the page's title. */
export function totalUnread(rooms: Rooms): number {
  let total = 0;
  for (const room of rooms.mine.values()) total += room.unread;
  return total;
}
