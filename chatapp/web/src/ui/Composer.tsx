import { useEffect, useState, type KeyboardEvent, type RefObject } from "react";
import type { Room } from "../model";
import { codePoints, isEditLast, isSend } from "../text/keys";
import { useChat } from "./context";
import { SendIcon } from "./icons";
import { byTouch, focusToWrite } from "./touch";

/** The count shows from this many characters before the limit. */
const COUNT_FROM = 200;

type Props = {
  room: Room;
  box: RefObject<HTMLTextAreaElement | null>;
  editing: boolean;
  onSend: (text: string) => void;
  onEditLast: () => void;
};

/**
 * Where one writes. Enter sends, Shift+Enter breaks the line, arrow-up edits the last
 * message. On a phone, which has no Shift+Enter, Enter breaks the line and the button sends.
 */
export function Composer({ room, box, editing, onSend, onEditLast }: Props) {
  const chat = useChat();
  const [text, setText] = useState(() => chat.drafts.text(room.id));
  const [touch] = useState(byTouch);
  const left = chat.config.maxMessage - codePoints(text);
  const sendable = left >= 0 && text.trim() !== "";

  // Focused at the start, and again after an edit has ended.
  useEffect(() => {
    if (!editing) focusToWrite(box.current);
  }, [editing, box]);

  const write = (next: string) => {
    setText(next);
    chat.drafts.setText(room.id, next);
  };
  const send = () => {
    if (!sendable) return;
    onSend(text);
    write("");
    box.current?.focus();
  };
  const key = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    const native = event.nativeEvent;
    if (!touch && isSend(native)) {
      event.preventDefault();
      send();
    } else if (isEditLast(native, text)) {
      event.preventDefault();
      onEditLast();
    }
  };
  return (
    <form className="composer" onSubmit={(e) => { e.preventDefault(); send(); }}>
      <textarea ref={box} data-testid="composer" rows={1} value={text} dir="auto" enterKeyHint={touch ? "enter" : "send"}
        aria-label={`Message ${room.kind === "direct" ? room.name : "#" + room.name}`}
        placeholder={`Message ${room.kind === "direct" ? room.name : "#" + room.name}`}
        onChange={(e) => {
          write(e.target.value);
          if (e.target.value.trim() !== "") chat.keystroke();
        }}
        onKeyDown={key} />
      {left < COUNT_FROM && <output className={left < 0 ? "left over" : "left"} aria-live="polite">{left}</output>}
      <button className="send" data-testid="send" type="submit" aria-label="Send" disabled={!sendable}><SendIcon /></button>
    </form>
  );
}
