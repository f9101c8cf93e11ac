import type { Member } from "../model";
import type { Row } from "./timeline";

/** Rooms up to this size show who has read; larger ones how many. */
export const NAMES_UP_TO = 20;

export type Receipt = {
  /** The row under which it stands: the newest of mine that anybody has read. */
  clientId: string;
  /** Who has read it, by name; empty in a large room. */
  names: string[];
  count: number;
};

/**
 * The read receipt of a room: under my newest message that somebody else has
 * read. `members` are the room's active ones.
 */
export function receipt(rows: readonly Row[], members: readonly Member[], me: string): Receipt | null {
  const others = members.filter((m) => m.user.id !== me);
  const furthest = others.reduce((seq, m) => Math.max(seq, m.readSeq), 0);
  const row = rows.findLast((r) => r.state === "sent" && r.user.id === me && !r.deleted && r.seq <= furthest);
  if (!row) return null;
  const readers = others.filter((m) => m.readSeq >= row.seq);
  if (readers.length === 0) return null;
  const names = members.length <= NAMES_UP_TO ? readers.map((m) => m.user.name) : [];
  return { clientId: row.clientId, names, count: readers.length };
}

/** "Read by Ann, Bo and Cy" or "Read by 31". */
export function receiptLine({ names, count }: Receipt): string {
  if (names.length === 0) return `Read by ${count}`;
  if (names.length === 1) return `Read by ${names[0]}`;
  return `Read by ${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
