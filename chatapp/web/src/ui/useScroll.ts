import { useCallback, useEffect, useLayoutEffect, useRef, useState, type RefObject } from "react";
import type { Row } from "../store/timeline";

/** Nearer to the end than this (px) counts as at the end. */
const NEAR_END = 40;
/** Nearer to the top than this (px), older messages are fetched. */
const NEAR_TOP = 400;

/** A message at the top of the view, and where it stood there. */
type Anchor = { clientId: string; offset: number };

type Scroll = {
  box: RefObject<HTMLDivElement | null>;
  content: RefObject<HTMLDivElement | null>;
  atEnd: boolean;
  toEnd: () => void;
};

/**
 * Keeps the view where the reader has put it: at the end while they are at the
 * end, else on the message that they look at, whatever comes above or below.
 */
export function useScroll(rows: readonly Row[], me: string, onNearTop: () => void): Scroll {
  const box = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const anchor = useRef<Anchor | null>(null);
  const end = useRef(true);
  const [atEnd, setAtEnd] = useState(true);
  const nearTop = useRef(onNearTop);
  nearTop.current = onNearTop;

  const settle = useCallback(() => {
    const view = box.current;
    if (!view) return;
    if (end.current) view.scrollTop = view.scrollHeight;
    else restore(view, anchor.current);
  }, []);

  const toEnd = useCallback(() => {
    end.current = true;
    setAtEnd(true);
    settle();
  }, [settle]);

  // One's own new message brings one to the end.
  const last = rows.at(-1);
  const own = last?.state === "pending" && last.user.id === me ? last.clientId : null;
  useLayoutEffect(() => {
    if (own !== null) toEnd();
  }, [own, toEnd]);

  useLayoutEffect(settle, [rows, settle]);

  useEffect(() => {
    const view = box.current;
    if (!view || !content.current) return;
    const scrolled = () => {
      end.current = view.scrollHeight - view.scrollTop - view.clientHeight < NEAR_END;
      anchor.current = end.current ? null : find(view);
      setAtEnd(end.current);
      if (view.scrollTop < NEAR_TOP && view.scrollHeight > view.clientHeight) nearTop.current();
    };
    view.addEventListener("scroll", scrolled, { passive: true });
    // The keyboard of a phone, the window, an editor that opens: all of them move the end.
    const resized = new ResizeObserver(settle);
    resized.observe(view);
    resized.observe(content.current);
    return () => {
      view.removeEventListener("scroll", scrolled);
      resized.disconnect();
    };
  }, [settle]);

  return { box, content, atEnd, toEnd };
}

function messages(view: HTMLElement): HTMLElement[] {
  return Array.from(view.querySelectorAll<HTMLElement>("[data-client-id]"));
}

function offsetIn(view: HTMLElement, row: HTMLElement): number {
  return row.getBoundingClientRect().top - view.getBoundingClientRect().top;
}

function find(view: HTMLElement): Anchor | null {
  const row = messages(view).find((each) => offsetIn(view, each) + each.offsetHeight > 0);
  return row?.dataset.clientId ? { clientId: row.dataset.clientId, offset: offsetIn(view, row) } : null;
}

function restore(view: HTMLElement, anchor: Anchor | null): void {
  if (!anchor) return;
  const row = messages(view).find((each) => each.dataset.clientId === anchor.clientId);
  if (row) view.scrollTop += offsetIn(view, row) - anchor.offset;
}
