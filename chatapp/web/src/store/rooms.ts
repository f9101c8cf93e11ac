import type { Message, ReadPosition, Room, RoomLists } from "../model";

/** The rooms of the list on the left: mine, and open ones that I could join. */
export type Rooms = { readonly mine: ReadonlyMap<string, Room>; readonly others: readonly Room[] };

export const NO_ROOMS: Rooms = { mine: new Map(), others: [] };

/** The server counts up to here; the number means "this many or more". */
export const UNREAD_LIMIT = 100;

/**
 * A room's newer state over the older. Answers can overtake each other, and
 * the server's read positions lag a second behind: what we know to be further
 * stays.
 */
function newer(have: Room | undefined, got: Room): Room {
  if (!have) return got;
  const next: Room = { ...got };
  if (have.lastSeq > got.lastSeq) {
    next.lastSeq = have.lastSeq;
    next.unread = Math.max(got.unread, have.unread);
  }
  if (have.last && got.last && have.last.seq > got.last.seq) next.last = have.last;
  if (got.readSeq < have.readSeq) {
    next.readSeq = have.readSeq;
    // The count was made before we read on. Nothing new since: ours is right.
    if (next.lastSeq <= have.lastSeq) next.unread = have.unread;
  }
  return next;
}

/** A fresh list: rooms that are not on it are gone. */
export function replaceRooms(rooms: Rooms, got: RoomLists): Rooms {
  const mine = new Map(got.rooms.map((room) => [room.id, newer(rooms.mine.get(room.id), room)]));
  return { mine, others: [...got.others].sort(byName) };
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

function change(rooms: Rooms, id: string, part: Partial<Room>): Rooms {
  const room = rooms.mine.get(id);
  return room ? { ...rooms, mine: new Map(rooms.mine).set(id, { ...room, ...part }) } : rooms;
}

/** How far I have read, and what is unread after it. It never goes back. */
export function putReadPosition(rooms: Rooms, id: string, position: ReadPosition): Rooms {
  const room = rooms.mine.get(id);
  if (!room || position.readSeq < room.readSeq) return rooms;
  if (position.readSeq === room.readSeq && position.unread === room.unread) return rooms;
  return change(rooms, id, position);
}

/** Somebody else's message, as the room's channel, the news or an answer has it: counted once. */
export function putUnread(rooms: Rooms, id: string, seq: number): Rooms {
  const room = rooms.mine.get(id);
  if (!room || seq <= room.lastSeq) return rooms;
  const unread = seq > room.readSeq ? Math.min(UNREAD_LIMIT, room.unread + 1) : room.unread;
  return change(rooms, id, { lastSeq: seq, unread });
}

/** One of somebody else's messages is gone. A count at the limit may stand for more, and stays. */
export function takeUnread(rooms: Rooms, id: string, seq: number): Rooms {
  const room = rooms.mine.get(id);
  if (!room || seq <= room.readSeq || room.unread === 0 || room.unread >= UNREAD_LIMIT) return rooms;
  return change(rooms, id, { unread: room.unread - 1 });
}

/** Keeps the list's last message, and the count, in step with what the open room shows. */
export function putMessage(rooms: Rooms, id: string, message: Message, me: string): Rooms {
  const counted = message.user.id === me || message.deleted ? rooms : putUnread(rooms, id, message.seq);
  const room = counted.mine.get(id);
  if (!room || (room.last && room.last.seq > message.seq)) return counted;
  if (room.last?.seq === message.seq && room.last.rev >= message.rev) return counted;
  return change(counted, id, { last: message, lastSeq: Math.max(room.lastSeq, message.seq) });
}

/** The time of somebody else's message that we have not got: people are listed by it. */
export function putNewsTime(rooms: Rooms, id: string, createdAt: number): Rooms {
  return change(rooms, id, { newsAt: createdAt });
}

export function putChannel(rooms: Rooms, id: string, channel: string): Rooms {
  return rooms.mine.get(id)?.channel === channel ? rooms : change(rooms, id, { channel });
}

/** By name as people count: "Room 2" comes before "Room 10". */
const byName = (a: Room, b: Room): number => a.name.localeCompare(b.name, undefined, { numeric: true });

/** The list's two parts: rooms by name with the general one first, then people, the latest first. */
export function sections(rooms: Rooms, general: string): { rooms: Room[]; people: Room[] } {
  const all = [...rooms.mine.values()];
  const first = (room: Room) => (room.id === general ? 0 : 1);
  return {
    rooms: all.filter((r) => r.kind !== "direct").sort((a, b) => first(a) - first(b) || byName(a, b)),
    people: all.filter((r) => r.kind === "direct")
      .sort((a, b) => latest(b) - latest(a) || byName(a, b)),
  };
}

const latest = (room: Room): number => Math.max(room.last?.createdAt ?? 0, room.newsAt ?? 0);

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
