/** What the reader has in front of them. */
export type Sight = {
  /** The first page of messages is here. */
  loaded: boolean;
  /** The timeline is scrolled to its end. */
  atEnd: boolean;
  /** The page can be seen. */
  visible: boolean;
  readSeq: number;
  /** How many of the loaded messages are unread. */
  unread: number;
  /** The client id of one's own message that is being sent; null for none. */
  wrote: string | null;
};

export type Reading = {
  /** Where the "new" line goes: the seq up to which everything was read when something new came; null for no line. */
  readonly boundary: number | null;
  /** The room has been loaded and looked at before. */
  readonly looked: boolean;
  readonly wrote: string | null;
};

export const NOT_LOOKED: Reading = { boundary: null, looked: false, wrote: null };

/** Whether what comes now is read at once: the end of the room is in front of somebody's eyes. */
export function reads({ loaded, atEnd, visible }: Pick<Sight, "loaded" | "atEnd" | "visible">): boolean {
  return loaded && atEnd && visible;
}

/**
 * The line is drawn when something unread is first there and before it counts
 * as read: on coming into the room, or while looking away. Writing takes it
 * away, and so does leaving a page that was read to its end.
 */
export function reduceReading(was: Reading, sight: Sight): Reading {
  const next = {
    boundary: boundaryOf(was, sight),
    looked: was.looked || sight.loaded,
    wrote: sight.wrote,
  };
  const same = next.boundary === was.boundary && next.looked === was.looked && next.wrote === was.wrote;
  return same ? was : next;
}

function boundaryOf(was: Reading, sight: Sight): number | null {
  if (sight.wrote !== null && sight.wrote !== was.wrote) return null;
  const arrived = sight.loaded && sight.unread > 0;
  if (arrived && (!was.looked || (!reads(sight) && was.boundary === null))) return sight.readSeq;
  return !sight.visible && sight.unread === 0 ? null : was.boundary;
}
