import { useCallback, useEffect, useState } from "react";
import { totalUnread } from "../store/rooms";
import { Banner, Notice } from "./Banner";
import { useChat, useChatState } from "./context";
import { Members } from "./Members";
import { RoomList } from "./RoomList";
import { RoomView } from "./RoomView";
import { useRoute } from "./useRoute";

/** Which side drawer is out, on a narrow screen. */
export type Drawer = "rooms" | "people" | null;

/** The page after sign-in: rooms, the open room, people. */
export function Shell() {
  const chat = useChat();
  const general = useChatState((state) => state.general);
  const open = useChatState((state) => state.open);
  const unread = useChatState((state) => totalUnread(state.rooms));
  const [drawer, setDrawer] = useState<Drawer>(null);
  const [route, go] = useRoute();
  const wanted = route ?? general;

  useEffect(() => void chat.open(wanted), [chat, wanted]);

  // The room that was open is no longer ours: back to where everybody is.
  const lost = useChatState((state) => state.lost);
  useEffect(() => {
    if (lost === null || lost !== wanted) return;
    if (wanted === general) void chat.open(general);
    else go(general, true);
  }, [lost, wanted, general, go, chat]);

  useEffect(() => {
    const name = open ? `${open.kind === "direct" ? "" : "#"}${open.name}` : "Chat";
    document.title = unread > 0 ? `(${unread}) ${name}` : name;
  }, [open, unread]);

  useEffect(() => {
    if (!drawer) return;
    const close = (event: KeyboardEvent) => event.key === "Escape" && setDrawer(null);
    window.addEventListener("keydown", close);
    return () => window.removeEventListener("keydown", close);
  }, [drawer]);

  const visit = useCallback((id: string) => {
    setDrawer(null);
    go(id);
  }, [go]);

  return (
    <div className="shell" data-drawer={drawer ?? "none"}>
      <RoomList onVisit={visit} />
      <main className="stage">
        <Banner />
        <Notice />
        {open && <RoomView key={open.id} room={open} onDrawer={setDrawer} onVisit={visit} />}
      </main>
      {open?.member && <Members room={open} onVisit={visit} onClose={() => setDrawer(null)} />}
      {drawer && <button className="scrim" aria-label="Close" onClick={() => setDrawer(null)} />}
    </div>
  );
}
