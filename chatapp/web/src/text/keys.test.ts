import { describe, expect, it } from "vitest";
import { codePoints, isCancel, isEditLast, isSend, type Key } from "./keys";

const press = (key: string, part: Partial<Key> = {}): Key =>
  ({ key, shiftKey: false, altKey: false, ctrlKey: false, metaKey: false, isComposing: false, keyCode: 0, ...part });

describe("Enter", () => {
  it.each([
    ["alone", {}, true],
    ["with Shift breaks the line", { shiftKey: true }, false],
    ["while composing picks a candidate", { isComposing: true }, false],
    ["of an input method, as Safari tells it", { keyCode: 229 }, false],
    ["with Alt", { altKey: true }, false],
    ["with Ctrl", { ctrlKey: true }, false],
  ] as [string, Partial<Key>, boolean][])("%s", (_, part, want) => expect(isSend(press("Enter", part))).toBe(want));

  it("is not any other key", () => expect(isSend(press("a"))).toBe(false));
});

describe("arrow-up", () => {
  it("edits the last message from an empty composer only", () => {
    expect(isEditLast(press("ArrowUp"), "")).toBe(true);
    expect(isEditLast(press("ArrowUp"), "text")).toBe(false);
    expect(isEditLast(press("ArrowUp", { isComposing: true }), "")).toBe(false);
    expect(isEditLast(press("ArrowUp", { shiftKey: true }), "")).toBe(false);
    expect(isEditLast(press("ArrowDown"), "")).toBe(false);
  });
});

describe("Escape", () => {
  it("gives up an edit, not a composition", () => {
    expect(isCancel(press("Escape"))).toBe(true);
    expect(isCancel(press("Escape", { isComposing: true }))).toBe(false);
  });
});

describe("codePoints", () => {
  it.each([["", 0], ["  a b  ", 3], ["👋🏽", 2], ["日本語", 3]] as const)("of %j", (text, want) => expect(codePoints(text)).toBe(want));
});
