import { begin, type Row, type Rows } from "./timeline";

/**
 * What useOptimistic lays over the store's rows while an action is under way.
 * A send shows its row in the very frame of the key press; an edit shows its
 * new text until the server has spoken, and falls back by itself if it refused.
 */
export type Overlay =
  | { kind: "send"; row: Row }
  | { kind: "edit"; clientId: string; text: string; /** the version that is edited */ rev: number };

export function overlay(rows: Rows, change: Overlay): Rows {
  if (change.kind === "send") return rows.has(change.row.clientId) ? rows : begin(rows, change.row);
  const row = rows.get(change.clientId);
  // React keeps overlays until every running action has ended; by then the
  // store may know better.
  if (!row || row.rev !== change.rev) return rows;
  return new Map(rows).set(row.clientId, { ...row, text: change.text });
}
