import type { Message, User } from "../model";

/**
 * The rows of one room's timeline, keyed by client message id.
 *
 * That key is what makes doubles impossible: the row that we show at once, the
 * answer to our POST, the event and a page of history all carry it, in
 * whatever order they come, and so they all land in the same row. Of two
 * versions of a sent message the greater rev wins.
 *
 * Everything here is pure: a function returns its argument when nothing changed.
 */
export type RowState =
  | "pending" // is being sent
  | "waiting" // could not be sent for a passing reason; is sent again by itself
  | "failed" // the server refused it
  | "sent";

export type Row = {
  readonly clientId: string;
  readonly state: RowState;
  readonly user: User;
  readonly text: string;
  /** Microseconds; our own clock's until the message is sent. */
  readonly createdAt: number;
  readonly editedAt: number;
  readonly deleted: boolean;
  /** The server's id, "" until sent. */
  readonly id: string;
  /** 0 until sent. */
  readonly seq: number;
  readonly rev: number;
  /** Why sending failed; "" otherwise. */
  readonly problem: string;
};

export type Rows = ReadonlyMap<string, Row>;

export const NO_ROWS: Rows = new Map();

/** A row for a text that is about to be sent. */
export function draftRow(clientId: string, user: User, text: string, createdAt: number): Row {
  return {
    clientId, user: { id: user.id, name: user.name }, text, createdAt,
    state: "pending", editedAt: 0, deleted: false, id: "", seq: 0, rev: 0, problem: "",
  };
}

export function sentRow(m: Message): Row {
  return {
    clientId: m.clientId, state: "sent", user: m.user, text: m.text, createdAt: m.createdAt,
    editedAt: m.editedAt, deleted: m.deleted, id: m.id, seq: m.seq, rev: m.rev, problem: "",
  };
}

function isNews(have: Row | undefined, m: Message): boolean {
  return have === undefined || have.state !== "sent" || m.rev > have.rev;
}

/**
 * Merges messages of any origin. Those below `floor`, the oldest seq that is
 * loaded, stay out unless their row is here: an edit of something far above
 * must not put a lone row on top of a hole.
 */
export function merge(rows: Rows, messages: readonly Message[], floor = 0): Rows {
  let next: Map<string, Row> | null = null;
  for (const m of messages) {
    const have = (next ?? rows).get(m.clientId);
    if (have === undefined && m.seq < floor) continue;
    if (!isNews(have, m)) continue;
    next ??= new Map(rows);
    next.set(m.clientId, sentRow(m));
  }
  return next ?? rows;
}

/** Puts a row in as pending: a new one, or one that is tried again. */
export function begin(rows: Rows, draft: Row): Rows {
  const have = rows.get(draft.clientId);
  if (have?.state === "sent" || have?.state === "pending") return rows;
  const next = new Map(rows);
  // What was refused goes to the end; what waits keeps its place.
  if (have?.state === "failed") next.delete(draft.clientId);
  return next.set(draft.clientId, { ...draft, state: "pending", problem: "" });
}

/** Marks a row as refused, or as waiting; one that an event has already shown to be sent stays sent. */
export function fail(rows: Rows, clientId: string, problem: string, state: "failed" | "waiting" = "failed"): Rows {
  const have = rows.get(clientId);
  if (!have || have.state === "sent" || (have.state === state && have.problem === problem)) return rows;
  return new Map(rows).set(clientId, { ...have, state, problem });
}

/** Takes a row away that failed or waits, at the writer's wish. */
export function discard(rows: Rows, clientId: string): Rows {
  const state = rows.get(clientId)?.state;
  if (state !== "failed" && state !== "waiting") return rows;
  const next = new Map(rows);
  next.delete(clientId);
  return next;
}

/** Drops the sent rows up to a revision, before a reload from the newest page. */
export function keepAfter(rows: Rows, rev: number): Rows {
  return new Map([...rows].filter(([, row]) => row.state !== "sent" || row.rev > rev));
}

/** The rows as they are read: sent ones by seq, then the unsent in the order they were written. */
export function ordered(rows: Rows): Row[] {
  const sent: Row[] = [];
  const unsent: Row[] = [];
  for (const row of rows.values()) (row.state === "sent" ? sent : unsent).push(row);
  sent.sort((a, b) => a.seq - b.seq);
  return sent.concat(unsent);
}

/** The last row that this user may still edit. */
export function lastEditable(rows: readonly Row[], userId: string): Row | undefined {
  return rows.findLast((row) => row.state === "sent" && !row.deleted && row.user.id === userId);
}

/** The seq of the newest sent row; 0 when there is none. */
export function newestSeq(rows: readonly Row[]): number {
  return rows.findLast((row) => row.state === "sent")?.seq ?? 0;
}
