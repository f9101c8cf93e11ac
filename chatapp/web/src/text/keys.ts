/** The parts of a keyboard event that the composer looks at. */
export type Key = {
  key: string;
  shiftKey: boolean;
  altKey: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  isComposing: boolean;
  keyCode: number;
};

/**
 * Whether an input method is at work: its Enter picks a candidate and must not
 * send. Safari ends the composition before the key event and only leaves the
 * key code 229.
 */
export function isInputMethod(key: Key): boolean {
  return key.isComposing || key.keyCode === 229;
}

/** Enter sends; with Shift, or inside an input method, it is the text's. */
export function isSend(key: Key): boolean {
  return key.key === "Enter" && !key.shiftKey && !key.altKey && !key.ctrlKey && !key.metaKey && !isInputMethod(key);
}

/** Arrow-up in an empty composer edits one's last message. */
export function isEditLast(key: Key, text: string): boolean {
  return key.key === "ArrowUp" && text === "" && !key.shiftKey && !key.altKey && !key.ctrlKey && !key.metaKey &&
    !isInputMethod(key);
}

export function isCancel(key: Key): boolean {
  return key.key === "Escape" && !isInputMethod(key);
}

/** Length as the server counts it: code points, after trimming. */
export function codePoints(text: string): number {
  return [...text.trim()].length;
}
