import { useEffect, useLayoutEffect, useMemo, useReducer, useSyncExternalStore } from "react";
import { NOT_LOOKED, reads, reduceReading } from "../store/reading";
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
 * "new" line goes; `missed` counts what is unread.
 */
export function useReading(room: string, rows: readonly Row[], atEnd: boolean, loaded: boolean): { boundary: number | null; missed: number } {
  const chat = useChat();
  const me = useChatState((state) => state.me.id);
  const readSeq = useChatState((state) => state.rooms.mine.get(room)?.readSeq ?? state.open?.readSeq ?? 0);
  const visible = useVisible();
  const newest = newestSeq(rows);
  const unread = useMemo(() => unreadIn(rows, readSeq, me), [rows, readSeq, me]);
  const own = rows.at(-1);
  const wrote = own?.state === "pending" && own.user.id === me ? own.clientId : null;
  const [{ boundary }, look] = useReducer(reduceReading, NOT_LOOKED);

  // Before the effect below, which makes what is unread read.
  useLayoutEffect(
    () => look({ loaded, atEnd, visible, readSeq, unread, wrote }),
    [loaded, atEnd, visible, readSeq, unread, wrote],
  );

  const reading = reads({ loaded, atEnd, visible });
  useEffect(() => {
    chat.attend(reading ? room : null);
    return () => chat.attend(null);
  }, [chat, room, reading]);

  useEffect(() => {
    if (reading && newest > 0) chat.read(room, newest);
  }, [chat, room, reading, newest]);

  return { boundary, missed: unread };
}
