import type { Member } from "../model";

/** A room's members by user id, those who left included (active: false). */
export type Members = ReadonlyMap<string, Member>;

export const NO_MEMBERS: Members = new Map();

/** How far a member has read, as the room's event says it. */
export type Read = { user: string; seq: number };

/** Membership and read position change apart and have a revision each. */
function newer(have: Member | undefined, got: Member): Member {
  if (!have) return got;
  const membership = got.rev > have.rev ? got : have;
  const reading = got.readRev > have.readRev ? got : have;
  if (membership === have && reading === have) return have;
  return { ...membership, readSeq: Math.max(have.readSeq, reading.readSeq), readRev: reading.readRev };
}

export function mergeMembers(members: Members, got: readonly Member[]): Members {
  let next: Map<string, Member> | null = null;
  for (const member of got) {
    const have = (next ?? members).get(member.user.id);
    const merged = newer(have, member);
    if (merged === have) continue;
    next ??= new Map(members);
    next.set(member.user.id, merged);
  }
  return next ?? members;
}

/**
 * Merges a full list of the active members, as new as `rev`: whom we know as
 * active from before, and who is not on it, has left.
 */
export function replaceMembers(members: Members, active: readonly Member[], rev: number): Members {
  const listed = new Set(active.map((m) => m.user.id));
  const gone = [...members.values()]
    .filter((m) => m.active && m.rev <= rev && !listed.has(m.user.id))
    .map((m) => ({ ...m, active: false, rev }));
  const left = gone.length === 0 ? members : new Map([...members, ...gone.map((m) => [m.user.id, m] as const)]);
  return mergeMembers(left, active);
}

export function mergeReads(members: Members, reads: readonly Read[], rev: number): Members {
  let next: Map<string, Member> | null = null;
  for (const { user, seq } of reads) {
    const have = (next ?? members).get(user);
    if (!have || have.readRev >= rev) continue;
    next ??= new Map(members);
    next.set(user, { ...have, readSeq: Math.max(have.readSeq, seq), readRev: rev });
  }
  return next ?? members;
}

/** Who is in the room now, by name. */
export function activeMembers(members: Members): Member[] {
  return [...members.values()]
    .filter((m) => m.active)
    .sort((a, b) => a.user.name.localeCompare(b.user.name));
}
