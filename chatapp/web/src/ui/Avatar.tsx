import type { User } from "../model";

/** How many tints the style sheet has. */
const TINTS = 8;

/** The same person has the same tint everywhere. */
function tintOf(id: string): number {
  let hash = 7;
  for (const c of id) hash = (hash * 31 + (c.codePointAt(0) ?? 0)) % 9973;
  return hash % TINTS;
}

export function Avatar({ user, small = false }: { user: User; small?: boolean }) {
  const initial = [...user.name.trim()][0]?.toLocaleUpperCase() ?? "?";
  return <span className={`avatar tint-${tintOf(user.id)} ${small ? "small" : ""}`} aria-hidden="true">{initial}</span>;
}
