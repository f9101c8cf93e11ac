import { describe, expect, it } from "vitest";
import { ME, message } from "../testing/fixtures";
import { firstNew, layout } from "./layout";
import { merge, NO_ROWS, ordered } from "./timeline";

const MINUTE = 60_000_000;
const NOON = new Date(2026, 10, 23, 12).getTime() * 1000;
const at = (minutes: number) => ({ createdAt: NOON + minutes * MINUTE });
const rowsOf = (...messages: ReturnType<typeof message>[]) => ordered(merge(NO_ROWS, messages));
const shape = (items: ReturnType<typeof layout>) =>
  items.map((i) => (i.kind === "row" ? `${i.row.clientId}${i.head ? "*" : ""}` : i.kind));

describe("layout", () => {
  it("groups one person's messages within five minutes", () => {
    const rows = rowsOf(message(1, at(0)), message(2, at(4)), message(3, at(10)), message(4, { ...at(11), user: ME }));
    expect(shape(layout(rows, null))).toEqual(["day", "c1*", "c2", "c3*", "c4*"]);
  });

  it("separates days, also within a group", () => {
    const rows = rowsOf(message(1, at(12 * 60 - 1)), message(2, at(12 * 60 + 1)));
    expect(shape(layout(rows, null))).toEqual(["day", "c1*", "day", "c2*"]);
  });

  it("the new line breaks a group", () => {
    const rows = rowsOf(message(1, at(0)), message(2, at(1)), message(3, at(2)));
    expect(shape(layout(rows, "c2"))).toEqual(["day", "c1*", "new", "c2*", "c3"]);
  });

  it("keys are unique", () => {
    const keys = layout(rowsOf(message(1, at(0)), message(2, at(1440)), message(3, at(0))), "c2").map((i) => i.key);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it("draws nothing from nothing", () => expect(layout([], null)).toEqual([]));
});

describe("firstNew", () => {
  const rows = rowsOf(message(1), message(2, { user: ME }), message(3, { deleted: true }), message(4));
  it.each([
    [null, null], [0, "c1"], [1, "c4"], [4, null],
  ] as const)("read up to %s", (boundary, want) => expect(firstNew(rows, boundary, "me")).toBe(want));
});
