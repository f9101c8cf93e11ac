/** Whether the page is used with a finger: its keyboard comes out with the focus, and has no Shift+Enter. */
export const byTouch = (): boolean => matchMedia("(pointer: coarse)").matches;

/** Focuses a field that somebody may want to write in next. With a finger they tap it themselves. */
export function focusToWrite(field: HTMLElement | null): void {
  if (!byTouch()) field?.focus();
}
