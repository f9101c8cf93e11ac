import type { Changes, Member, Message, Page } from "../model";
import { mergeMembers, mergeReads, NO_MEMBERS, replaceMembers, type Members, type Read } from "./members";
import { begin, discard, fail, keepAfter, merge, NO_ROWS, type Row, type Rows } from "./timeline";

/**
 * One room as this browser knows it.
 *
 * `have` is the revision up to which we know every change: an event that is
 * have + 1 is applied, an older one is a repeat, a newer one shows a gap.
 * `heard` is the newest revision that anything spoke of. Whoever runs the room
 * (catchup.ts) fetches changes for as long as it is `behind`.
 */
export type RoomState = {
  readonly rows: Rows;
  readonly members: Members;
  /** null until the first page is here. */
  readonly have: number | null;
  readonly heard: number;
  /** The oldest seq that is loaded; 0 when nothing older exists. */
  readonly floor: number;
  /** Whether there are older messages than those loaded. */
  readonly more: boolean;
};

export const NEW_ROOM: RoomState = {
  rows: NO_ROWS, members: NO_MEMBERS, have: null, heard: 0, floor: 0, more: false,
};

/** A change of a room as its channel announces it. */
export type RoomEvent = {
  rev: number;
  /** Too large for an event: only the fact. */
  fetch?: boolean;
  message?: Message;
  members?: readonly Member[];
  reads?: readonly Read[];
  /** The channel's new name: nothing more comes on the old one. */
  channel?: string;
};

export type RoomAction =
  | { type: "newest"; page: Page }
  | { type: "older"; page: Page }
  | { type: "changes"; changes: Changes }
  | { type: "event"; event: RoomEvent }
  | { type: "answer"; message: Message }
  | { type: "members"; members: readonly Member[]; rev: number }
  | { type: "settle" }
  | { type: "begin"; row: Row }
  | { type: "fail"; clientId: string; problem: string; state: "failed" | "waiting" }
  | { type: "discard"; clientId: string };

/** Whether there are changes that we heard of and do not have. */
export function behind(room: RoomState): boolean {
  return room.have !== null && room.heard > room.have;
}

export function reduceRoom(room: RoomState, action: RoomAction): RoomState {
  switch (action.type) {
    case "newest": return newest(room, action.page);
    case "older": return older(room, action.page);
    case "changes": return changes(room, action.changes);
    case "event": return event(room, action.event);
    case "members": return members(room, action.members, action.rev);
    // The server has told all it has, so what we heard of beyond it is not to come.
    case "settle": return behind(room) ? { ...room, heard: room.have ?? 0 } : room;
    // The answer to our own request: the row is known, but what happened
    // before it in the room is not, so `have` stays.
    case "answer": return withRows(room, merge(room.rows, [action.message], room.floor));
    case "begin": return withRows(room, begin(room.rows, action.row));
    case "fail": return withRows(room, fail(room.rows, action.clientId, action.problem, action.state));
    case "discard": return withRows(room, discard(room.rows, action.clientId));
  }
}

function withRows(room: RoomState, rows: Rows): RoomState {
  return rows === room.rows ? room : { ...room, rows };
}

const floorOf = (page: Page): number => (page.more ? (page.messages[0]?.seq ?? 0) : 0);

/** The first page, or a fresh start when too much has happened to catch up with. */
function newest(room: RoomState, page: Page): RoomState {
  const rows = merge(keepAfter(room.rows, page.rev), page.messages);
  return { ...room, rows, have: page.rev, heard: Math.max(room.heard, page.rev), floor: floorOf(page), more: page.more };
}

/**
 * An older page. It was read at page.rev; what changed in its messages since
 * then may have passed us by as an event on rows that we did not have. So we
 * step back to page.rev and let the changes come again: merging is idempotent.
 */
function older(room: RoomState, page: Page): RoomState {
  const stepped = stepBack(room, page.rev);
  return { ...stepped, rows: merge(room.rows, page.messages), floor: floorOf(page), more: page.more };
}

function members(room: RoomState, active: readonly Member[], rev: number): RoomState {
  return { ...stepBack(room, rev), members: replaceMembers(room.members, active, rev) };
}

function stepBack(room: RoomState, rev: number): RoomState {
  if (room.have === null) return { ...room, heard: Math.max(room.heard, rev) };
  return { ...room, have: Math.min(room.have, rev), heard: Math.max(room.heard, room.have, rev) };
}

function changes(room: RoomState, got: Changes): RoomState {
  const have = Math.max(room.have ?? 0, got.rev);
  return {
    ...room,
    rows: merge(room.rows, got.messages, room.floor),
    members: mergeMembers(room.members, got.members),
    have,
    heard: Math.max(room.heard, have),
  };
}

function event(room: RoomState, e: RoomEvent): RoomState {
  if (room.have !== null && e.rev <= room.have) return room;
  const heard = Math.max(room.heard, e.rev);
  if (room.have === null || e.rev !== room.have + 1 || e.fetch) {
    return heard === room.heard ? room : { ...room, heard };
  }
  return {
    ...room,
    rows: e.message ? merge(room.rows, [e.message], room.floor) : room.rows,
    members: eventMembers(room.members, e),
    have: e.rev,
    heard,
  };
}

function eventMembers(known: Members, e: RoomEvent): Members {
  if (e.members) return mergeMembers(known, e.members);
  if (e.reads) return mergeReads(known, e.reads, e.rev);
  // Who wrote has read everything before it.
  if (e.message && e.message.seq === e.rev) return mergeReads(known, [{ user: e.message.user.id, seq: e.message.seq }], e.rev);
  return known;
}
