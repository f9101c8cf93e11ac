import { useEffect, useRef, useState } from "react";
import type { Row } from "../store/timeline";
import { codePoints, isCancel, isSend } from "../text/keys";
import { useChat } from "./context";

type Props = { row: Row; onSave: (text: string) => void; onDone: () => void };

/** A message being edited in its place. Enter saves, Escape gives up. */
export function EditBox({ row, onSave, onDone }: Props) {
  const { config } = useChat();
  const [text, setText] = useState(row.text);
  const ref = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    const box = ref.current;
    box?.focus();
    box?.setSelectionRange(box.value.length, box.value.length);
  }, []);
  const fits = text.trim() !== "" && codePoints(text) <= config.maxMessage;
  const save = () => {
    if (!fits) return;
    if (text.trim() !== row.text) onSave(text);
    onDone();
  };
  return (
    <div className="edit">
      <textarea ref={ref} data-testid="edit" aria-label="Edit message" rows={1} value={text} onChange={(e) => setText(e.target.value)}
        onKeyDown={(event) => {
          if (isSend(event.nativeEvent)) {
            event.preventDefault();
            save();
          } else if (isCancel(event.nativeEvent)) {
            event.stopPropagation();
            onDone();
          }
        }} />
      <div className="edit-buttons">
        <button className="primary" disabled={!fits} onClick={save}>Save</button>
        <button className="ghost" onClick={onDone}>Cancel</button>
        <span className="quiet">Enter saves, Escape cancels</span>
      </div>
    </div>
  );
}
