import { useEffect, useRef, useState } from "react";
import { sentence } from "../api";
import type { Row } from "../store/timeline";
import { codePoints, isCancel, isSend } from "../text/keys";
import { useChat } from "./context";
import { byTouch } from "./touch";

type Props = {
  row: Row;
  /** What was typed before, or the message's text. */
  start: string;
  onType: (text: string) => void;
  onSave: (text: string) => Promise<void>;
  onDone: () => void;
};

/** A message being edited in its place. Enter saves (not with a finger, as in the composer), Escape gives up. It stays open until the server has saved the text. */
export function EditBox({ row, start, onType, onSave, onDone }: Props) {
  const { config } = useChat();
  const [text, setText] = useState(start);
  const [touch] = useState(byTouch);
  const [saving, setSaving] = useState(false);
  const [problem, setProblem] = useState("");
  const ref = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    const box = ref.current;
    box?.focus();
    box?.setSelectionRange(box.value.length, box.value.length);
  }, []);
  const fits = text.trim() !== "" && codePoints(text) <= config.maxMessage;
  const save = () => {
    if (!fits || saving) return;
    if (text.trim() === row.text) return onDone();
    setSaving(true);
    setProblem("");
    onSave(text).then(onDone, (error: unknown) => {
      setProblem(sentence(error));
      setSaving(false);
    });
  };
  return (
    <div className="edit">
      <textarea ref={ref} data-testid="edit" aria-label="Edit message" rows={1} value={text} dir="auto" readOnly={saving}
        onChange={(e) => {
          setText(e.target.value);
          onType(e.target.value);
        }}
        onKeyDown={(event) => {
          if (!touch && isSend(event.nativeEvent)) {
            event.preventDefault();
            save();
          } else if (isCancel(event.nativeEvent)) {
            event.stopPropagation();
            onDone();
          }
        }} />
      {problem && <p className="problem" role="alert" data-testid="edit-problem">Not saved. {problem}</p>}
      <div className="edit-buttons">
        <button className="primary" disabled={!fits || saving} onClick={save}>{saving ? "Saving…" : "Save"}</button>
        <button className="ghost" onClick={onDone}>Cancel</button>
        {!touch && <span className="quiet">Enter saves, Escape cancels</span>}
      </div>
    </div>
  );
}
