/** A piece of a text: plain, or an address that can be followed. */
export type Piece = { text: string; href?: string };

// Only these two schemes: "javascript:" and its like can never become a link.
const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\u0000-\u001f]+/giu;

const OPENING: Record<string, string> = { ")": "(", "]": "[", "}": "{" };

/** Ends of sentences are not part of an address; a closing bracket only when it was opened inside. */
function trimEnd(address: string): string {
  // Counted once: an address may be thousands of brackets long.
  const counts = new Map<string, number>();
  const count = (c: string): number => counts.get(c) ?? 0;
  for (const c of address) counts.set(c, count(c) + 1);
  let end = address.length;
  for (; end > 0; end--) {
    const c = address.charAt(end - 1);
    const opening = OPENING[c];
    const unopened = opening !== undefined && count(opening) < count(c);
    if (!unopened && !".,;:!?…*_~".includes(c)) break;
    counts.set(c, count(c) - 1);
  }
  return address.slice(0, end);
}

function hrefOf(address: string): string | null {
  try {
    const url = new URL(address);
    return url.hostname === "" ? null : url.href;
  } catch {
    return null;
  }
}

/** Splits a text into plain pieces and links. Joined, the pieces are the text again. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = trimEnd(match[0]);
    const href = hrefOf(address);
    if (href === null) continue;
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    found.push({ text: address, href });
    from = match.index + address.length;
  }
  if (from < text.length) found.push({ text: text.slice(from) });
  return found;
}
