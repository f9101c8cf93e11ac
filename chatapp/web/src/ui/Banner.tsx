import { useChat, useChatState } from "./context";
import { CloseIcon } from "./icons";

/** Says, after a while, that there is no live connection, and what happens instead. */
export function Banner() {
  const banner = useChatState((state) => state.banner);
  const link = useChatState((state) => state.link);
  if (!banner) return null;
  return (
    <div className="banner" role="status" data-testid="offline-banner">
      {link === "polling"
        ? "No live connection. New messages are fetched every few seconds."
        : link === "offline"
          ? "You are offline. The server cannot be reached; trying again."
          : "The connection is lost. Reconnecting…"}
    </div>
  );
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
