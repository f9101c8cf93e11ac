import { useEffect, useRef, useState, type RefObject } from "react";

/** Which side drawer is out, on a narrow screen. */
export type Drawer = "rooms" | "people" | null;

/** The widths from which each of them is a column (styles/layout.css). */
const COLUMN = { rooms: "(min-width: 721px)", people: "(min-width: 1021px)" };

type UseDrawer = { shell: RefObject<HTMLDivElement | null>; drawer: Drawer; setDrawer: (drawer: Drawer) => void };

/**
 * A drawer takes the focus, and gives it back when it closes: on Escape, and when the
 * window has become wide enough for a column in its place.
 */
export function useDrawer(): UseDrawer {
  const shell = useRef<HTMLDivElement>(null);
  const [drawer, setDrawer] = useState<Drawer>(null);
  useEffect(() => {
    if (drawer === null) return;
    const before = document.activeElement;
    shell.current?.querySelector<HTMLElement>(`.${drawer}`)?.focus();
    const wide = matchMedia(COLUMN[drawer]);
    const close = () => setDrawer(null);
    const key = (event: KeyboardEvent) => {
      const inDialog = document.querySelector("dialog[open]") !== null; // which closes first
      if (event.key === "Escape" && !inDialog) close();
    };
    wide.addEventListener("change", close);
    window.addEventListener("keydown", key);
    return () => {
      wide.removeEventListener("change", close);
      window.removeEventListener("keydown", key);
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, [drawer]);
  return { shell, drawer, setDrawer };
}
