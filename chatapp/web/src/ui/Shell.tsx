import { useCallback, useEffect } from "react";
import { totalUnread } from "../store/rooms";
import { Banner, Notice } from "./Banner";
import { useChat, useChatState } from "./context";
import { Members } from "./Members";
import { RoomList } from "./RoomList";
import { RoomView } from "./RoomView";
import { useDrawer } from "./useDrawer";
import { useRoute } from "./useRoute";

/** The page after sign-in: rooms, the open room, people. */
export function Shell() {
  const chat = useChat();
  const general = useChatState((state) => state.general);
  const open = useChatState((state) => state.open);
  const unread = useChatState((state) => totalUnread(state.rooms));
  const { shell, drawer, setDrawer } = useDrawer();
  const [route, go] = useRoute();
  const wanted = route ?? general;

  useEffect(() => void chat.open(wanted), [chat, wanted]);

  // The room that was open is no longer ours: back to where everybody is.
  const lost = useChatState((state) => state.lost);
  useEffect(() => {
    if (lost === null || lost !== wanted) return;
    setDrawer(null);
    if (wanted === general) void chat.open(general);
    else go(general, true);
  }, [lost, wanted, general, go, chat, setDrawer]);

  useEffect(() => {
    const name = open ? `${open.kind === "direct" ? "" : "#"}${open.name}` : "Chat";
    document.title = unread > 0 ? `(${unread}) ${name}` : name;
  }, [open, unread]);

  // What went wrong is said in the middle, which a drawer covers.
  const notice = useChatState((state) => state.notice !== "");
  useEffect(() => { if (notice) setDrawer(null); }, [notice, setDrawer]);

  const visit = useCallback((id: string) => {
    setDrawer(null);
    go(id);
  }, [go, setDrawer]);

  return (
    <div className="shell" ref={shell} data-drawer={drawer ?? "none"}>
      <RoomList inert={drawer === "people"} onVisit={visit} onClose={() => setDrawer(null)} />
      <main className="stage" inert={drawer !== null}>
        <Banner />
        <Notice />
        {open && <RoomView key={open.id} room={open} onDrawer={setDrawer} onVisit={visit} />}
      </main>
      {open?.member && <Members room={open} onVisit={visit} onClose={() => setDrawer(null)} />}
      {drawer && <button className="scrim" aria-label="Close" onClick={() => setDrawer(null)} />}
    </div>
  );
}
