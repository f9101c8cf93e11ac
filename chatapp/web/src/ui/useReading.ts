import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { unreadIn } from "../store/unread";
import { newestSeq, type Row } from "../store/timeline";
import { useChat, useChatState } from "./context";

function subscribe(changed: () => void): () => void {
  document.addEventListener("visibilitychange", changed);
  return () => document.removeEventListener("visibilitychange", changed);
}

/** Whether the page is in front of somebody's eyes. */
function useVisible(): boolean {
  return useSyncExternalStore(subscribe, () => document.visibilityState === "visible");
}

/**
 * What the reader has seen. While they are at the end of a page that is
 * visible, everything is read, and the server is told. `boundary` is where the
 * "new" line goes: the seq up to which they had read when they came, or when
 * they last looked away. `missed` counts what has come since.
 */
export function useReading(room: string, rows: readonly Row[], atEnd: boolean, loaded: boolean): { boundary: number | null; missed: number } {
  const chat = useChat();
  const me = useChatState((state) => state.me.id);
  const readSeq = useChatState((state) => state.rooms.mine.get(room)?.readSeq ?? state.open?.readSeq ?? 0);
  const visible = useVisible();
  const reading = loaded && atEnd && visible;
  const newest = newestSeq(rows);
  const unread = useMemo(() => unreadIn(rows, readSeq, me), [rows, readSeq, me]);

  // Fixed when something unread is first there, before it is marked as read:
  // on coming in, or while looking away. Writing takes the line away.
  const [boundary, setBoundary] = useState<number | null>(null);
  const [looked, setLooked] = useState(false);
  if (loaded && unread > 0 && (!looked || (!reading && boundary === null))) {
    setBoundary(readSeq);
  }
  if (loaded && !looked) setLooked(true);

  const own = rows.at(-1);
  const wrote = own?.state === "pending" && own.user.id === me ? own.clientId : null;
  useEffect(() => {
    if (wrote !== null) setBoundary(null);
  }, [wrote]);

  // Coming back to a page that one had read to the end begins a new line.
  useEffect(() => {
    if (!visible && unread === 0) setBoundary(null);
  }, [visible, unread]);

  useEffect(() => {
    chat.attend(reading ? room : null);
    return () => chat.attend(null);
  }, [chat, room, reading]);

  useEffect(() => {
    if (reading && newest > 0) chat.read(room, newest);
  }, [chat, room, reading, newest]);

  return { boundary, missed: unread };
}
