import type { Row } from "./timeline";

/** Messages of one person within this time (µs) stand under one name. */
const GROUP_WITHIN = 5 * 60 * 1_000_000;

/** What the timeline draws, from top to bottom. */
export type Item =
  | { kind: "day"; key: string; at: number }
  | { kind: "new"; key: "new" }
  | { kind: "row"; key: string; row: Row; /** the first of its group: with name and time */ head: boolean };

/** A day as the reader's own calendar has it. */
export function dayOf(at: number): string {
  const date = new Date(at / 1000);
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

/**
 * Where the "new" line stands: before the first message by somebody else that
 * is past `boundary`, the seq up to which I had read. null: no line.
 */
export function firstNew(rows: readonly Row[], boundary: number | null, me: string): string | null {
  if (boundary === null) return null;
  const row = rows.find((r) => r.state === "sent" && r.seq > boundary && r.user.id !== me && !r.deleted);
  return row?.clientId ?? null;
}

/** Day separators, the "new" line and groups. */
export function layout(rows: readonly Row[], newBefore: string | null): Item[] {
  const items: Item[] = [];
  let above: Row | null = null;
  for (const row of rows) {
    const newDay = above === null || dayOf(above.createdAt) !== dayOf(row.createdAt);
    const isNew = row.clientId === newBefore;
    if (newDay) items.push({ kind: "day", key: `day-${dayOf(row.createdAt)}-${row.clientId}`, at: row.createdAt });
    if (isNew) items.push({ kind: "new", key: "new" });
    items.push({ kind: "row", key: row.clientId, row, head: newDay || isNew || !continues(above, row) });
    above = row;
  }
  return items;
}

function continues(above: Row | null, row: Row): boolean {
  return above !== null && above.user.id === row.user.id && row.createdAt - above.createdAt < GROUP_WITHIN;
}
