import { begin, type Row, type Rows } from "./timeline";

/**
 * What useOptimistic lays over the store's rows while a request is under way.
 * A send shows its row in the very frame of the key press; a deletion shows
 * the message as gone, and falls back by itself if the server refuses.
 */
export type Overlay =
  | { kind: "send"; row: Row }
  | { kind: "remove"; clientId: string };

export function overlay(rows: Rows, change: Overlay): Rows {
  if (change.kind === "send") return rows.has(change.row.clientId) ? rows : begin(rows, change.row);
  const row = rows.get(change.clientId);
  if (!row || row.deleted) return rows;
  return new Map(rows).set(row.clientId, { ...row, text: "", deleted: true });
}
