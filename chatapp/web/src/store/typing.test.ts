import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { TYPING_EVERY, TYPING_SHOWN, TypingSignal, TypingWatch, typingLine } from "./typing";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watching(): { watch: TypingWatch; seen: string[][] } {
  const seen: string[][] = [];
  return { watch: new TypingWatch("me", (ids) => seen.push([...ids])), seen };
}

describe("TypingWatch", () => {
  it("shows somebody for five seconds", () => {
    const { watch, seen } = watching();
    watch.heard("bo");
    vi.advanceTimersByTime(TYPING_SHOWN - 1);
    expect(seen).toEqual([["bo"]]);
    vi.advanceTimersByTime(1);
    expect(seen).toEqual([["bo"], []]);
  });

  it("another sign begins the five seconds anew, and tells nobody", () => {
    const { watch, seen } = watching();
    watch.heard("bo");
    vi.advanceTimersByTime(4_000);
    watch.heard("bo");
    vi.advanceTimersByTime(4_000);
    expect(seen).toEqual([["bo"]]);
    vi.advanceTimersByTime(1_000);
    expect(seen.at(-1)).toEqual([]);
  });

  it("never shows oneself", () => {
    const { watch, seen } = watching();
    watch.heard("me");
    expect(seen).toEqual([]);
  });

  it("a message ends it at once", () => {
    const { watch, seen } = watching();
    watch.heard("bo");
    watch.heard("cy");
    watch.stopped("bo");
    watch.stopped("nobody");
    expect(seen).toEqual([["bo"], ["bo", "cy"], ["cy"]]);
    vi.advanceTimersByTime(TYPING_SHOWN);
    expect(seen.at(-1)).toEqual([]);
  });

  it("clear leaves no timer behind", () => {
    const { watch } = watching();
    watch.heard("bo");
    watch.clear();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("TypingSignal", () => {
  it("sends at most once in three seconds", () => {
    const send = vi.fn(() => true);
    const signal = new TypingSignal(send);
    for (let at = 0; at < 10_000; at += 100) signal.keystroke(at);
    expect(send).toHaveBeenCalledTimes(Math.ceil(10_000 / TYPING_EVERY));
  });

  it("tries again when nobody could be told, and after a message", () => {
    const send = vi.fn(() => false);
    const signal = new TypingSignal(send);
    signal.keystroke(0);
    signal.keystroke(10);
    expect(send).toHaveBeenCalledTimes(2);
    send.mockReturnValue(true);
    signal.keystroke(20);
    signal.reset();
    signal.keystroke(30);
    expect(send).toHaveBeenCalledTimes(4);
  });
});

describe("typingLine", () => {
  const cases: [string[], string][] = [
    [[], ""],
    [["Ann"], "Ann is typing"],
    [["Ann", "Bo"], "Ann and Bo are typing"],
    [["Ann", "Bo", "Cy", "Di"], "Ann, Bo and 2 more are typing"],
  ];
  it.each(cases)("%j", (names, want) => expect(typingLine(names)).toBe(want));
});
