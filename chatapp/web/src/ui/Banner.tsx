import type { Connectivity } from "../chat/state";
import { useChat, useChatState } from "./context";
import { CloseIcon } from "./icons";

/** Says, after a while, that there is no live connection, and what happens instead. */
export function Banner() {
  const banner = useChatState((state) => state.banner);
  const link = useChatState((state) => state.link);
  const refused = useChatState((state) => state.refused);
  if (!banner) return null;
  return <div className="banner" role="status" data-testid="offline-banner">{sentenceOf(link, refused)}</div>;
}

function sentenceOf(link: Connectivity, refused: boolean): string {
  if (link === "offline") return "You are offline. The server cannot be reached; trying again.";
  if (link !== "polling") return "The connection is lost. Reconnecting…";
  return refused
    ? "This room has no place for another live connection. Its messages are fetched every few seconds."
    : "No live connection. New messages are fetched every few seconds.";
}

/** A sentence about something that did not work. */
export function Notice() {
  const chat = useChat();
  const notice = useChatState((state) => state.notice);
  if (notice === "") return null;
  return (
    <div className="notice" role="alert" data-testid="notice">
      <span>{notice}</span>
      <button className="ghost" aria-label="Dismiss" onClick={() => chat.notice("")}><CloseIcon /></button>
    </div>
  );
}

const WORDS = { connecting: "Connecting", live: "Live", polling: "Polling", offline: "Offline" };

/** A dot and a word about the connection. */
export function ConnectionState() {
  const link = useChatState((state) => state.link);
  return (
    <span className="connection" data-testid="connection" data-state={link} role="status">
      <i className="dot" aria-hidden="true" />{WORDS[link]}
    </span>
  );
}
