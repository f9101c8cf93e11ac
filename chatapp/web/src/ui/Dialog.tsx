import { useId, useLayoutEffect, useRef, type ReactNode } from "react";
import { CloseIcon } from "./icons";

/**
 * A modal dialog. The browser's own element keeps the focus inside, closes on
 * Escape and gives the focus back. What has data-autofocus gets the focus first:
 * React's autoFocus comes before the dialog is open, and is lost.
 */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  // In the layout, so that it is closed while it is still in the page: the browser
  // gives the focus back only then.
  useLayoutEffect(() => {
    const dialog = ref.current;
    if (dialog && !dialog.open) dialog.showModal();
    dialog?.querySelector<HTMLElement>("[data-autofocus]")?.focus();
    return () => dialog?.close();
  }, []);
  return (
    <dialog ref={ref} className="dialog" aria-labelledby={id} onCancel={(e) => { e.preventDefault(); onClose(); }}
      onClick={(e) => e.target === ref.current && onClose()}>
      <div className="dialog-body">
        <header>
          <h2 id={id}>{title}</h2>
          <button className="ghost" aria-label="Close" onClick={onClose}><CloseIcon /></button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
