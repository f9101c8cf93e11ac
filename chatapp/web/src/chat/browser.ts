import { GuardedKeep, type Environment, type Watcher } from "./environment";

const CHANNEL = "chat";

function watch({ seen, hidden, networkBack, networkGone }: Watcher): () => void {
  const visibility = () => (document.hidden ? hidden() : seen());
  document.addEventListener("visibilitychange", visibility);
  window.addEventListener("pagehide", hidden);
  window.addEventListener("online", networkBack);
  window.addEventListener("offline", networkGone);
  return () => {
    document.removeEventListener("visibilitychange", visibility);
    window.removeEventListener("pagehide", hidden);
    window.removeEventListener("online", networkBack);
    window.removeEventListener("offline", networkGone);
  };
}

function announce(user: string | null): void {
  if (!("BroadcastChannel" in window)) return;
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage({ user });
  channel.close();
}

function onAnnounced(heard: (user: string | null) => void): () => void {
  if (!("BroadcastChannel" in window)) return () => undefined;
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }: MessageEvent<{ user: string | null }>) => heard(data.user);
  return () => channel.close();
}

/** What is kept in this browser. */
export const keep = new GuardedKeep(() => window.localStorage);

/** The page that we are in. */
export const browser: Environment = {
  hostname: location.hostname,
  visible: () => !document.hidden,
  watch,
  keep,
  announce,
  onAnnounced,
};
