import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Doubt } from "./doubt";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("asks when the server says nothing, or that something is missing, and not when all is replayed", () => {
  const ask = vi.fn();
  const doubt = new Doubt(ask);
  doubt.end(false); // nobody doubts
  vi.advanceTimersByTime(60_000);
  expect(ask).toHaveBeenCalledTimes(0);

  doubt.begin();
  doubt.end(true);
  vi.advanceTimersByTime(60_000);
  expect(ask).toHaveBeenCalledTimes(0);

  doubt.begin();
  doubt.end(false);
  expect(ask).toHaveBeenCalledTimes(1);

  doubt.begin();
  vi.advanceTimersByTime(1_000);
  doubt.begin(); // another socket
  vi.advanceTimersByTime(1_999);
  expect(ask).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1);
  expect(ask).toHaveBeenCalledTimes(2);

  doubt.begin();
  doubt.stop();
  vi.advanceTimersByTime(60_000);
  expect(ask).toHaveBeenCalledTimes(2);
});
