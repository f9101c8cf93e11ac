import { useCallback, useSyncExternalStore } from "react";

/** The room in the page's address: /rooms/{id}. */
function current(): string | null {
  return /^\/rooms\/([a-z0-9]+)$/.exec(location.pathname)?.[1] ?? null;
}

function subscribe(changed: () => void): () => void {
  window.addEventListener("popstate", changed);
  return () => window.removeEventListener("popstate", changed);
}

/** The room that the address names, and how to go to another. */
export function useRoute(): [string | null, (room: string, replace?: boolean) => void] {
  const room = useSyncExternalStore(subscribe, current);
  const go = useCallback((id: string, replace = false) => {
    if (current() === id) return;
    history[replace ? "replaceState" : "pushState"](null, "", `/rooms/${id}`);
    window.dispatchEvent(new PopStateEvent("popstate"));
  }, []);
  return [room, go];
}

/** The invite token of a link "/#invite=TOKEN"; "" without one. */
export function inviteToken(hash = location.hash): string {
  return /^#invite=([A-Za-z0-9_-]+)$/.exec(hash)?.[1] ?? "";
}
