import type { Row } from "./timeline";

/** How many of the loaded messages are unread: by somebody else, past what I have read, not deleted. */
export function unreadIn(rows: readonly Row[], readSeq: number, me: string): number {
  let count = 0;
  for (const row of rows) {
    if (row.state === "sent" && row.seq > readSeq && row.user.id !== me && !row.deleted) count++;
  }
  return count;
}
