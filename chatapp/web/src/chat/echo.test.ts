import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { message } from "../testing/fixtures";
import { world } from "../testing/world";
import { Echo, ECHO_WITHIN } from "./echo";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function start() {
  const { core } = world({});
  const silent = vi.fn();
  return { core, silent, echo: new Echo(core, silent) };
}

describe("Echo", () => {
  it("an event that does not come is told once", () => {
    const { echo, silent } = start();
    echo.expect("r", 4);
    vi.advanceTimersByTime(ECHO_WITHIN - 1);
    expect(silent).not.toHaveBeenCalled();
    vi.advanceTimersByTime(60_000);
    expect(silent).toHaveBeenCalledExactlyOnceWith("r");
  });

  it("one that comes is not, also when it is the next one that shows it", () => {
    const { core, echo, silent } = start();
    echo.expect("r", 4);
    core.dispatch("r", { type: "event", event: { rev: 5, message: message(5) } });
    vi.advanceTimersByTime(60_000);
    expect(silent).not.toHaveBeenCalled();
  });

  it("stop leaves no timer", () => {
    const { echo } = start();
    echo.expect("r", 4);
    echo.stop();
    expect(vi.getTimerCount()).toBe(0);
  });
});
