import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakePage } from "../testing/world";
import { Polling } from "./polling";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function start() {
  const page = new FakePage();
  const ask = vi.fn(async () => undefined);
  return { page, ask, polling: new Polling(page, 2_000, ask) };
}

describe("Polling", () => {
  it("asks at once, and every two seconds after the answer", async () => {
    const { polling, ask } = start();
    polling.start();
    polling.start();
    await vi.advanceTimersByTimeAsync(6_000);
    expect(ask).toHaveBeenCalledTimes(4);
    polling.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([ask.mock.calls.length, polling.active]).toEqual([4, false]);
  });

  it("asks for nothing while nobody looks, and at once when somebody does", async () => {
    const { polling, ask, page } = start();
    polling.start();
    page.hide();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ask).toHaveBeenCalledTimes(1);
    page.show();
    polling.wake();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(ask).toHaveBeenCalledTimes(3);
  });

  it("one round at a time", async () => {
    const { polling, ask } = start();
    let answer = () => undefined as void;
    ask.mockImplementationOnce(() => new Promise((resolve) => { answer = () => resolve(undefined); }));
    polling.start();
    polling.wake();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ask).toHaveBeenCalledTimes(1);
    answer();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(ask).toHaveBeenCalledTimes(2);
  });
});
