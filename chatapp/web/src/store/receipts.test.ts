import { describe, expect, it } from "vitest";
import { BO, ME, member, message } from "../testing/fixtures";
import { NAMES_UP_TO, receipt, receiptLine } from "./receipts";
import { merge, NO_ROWS, ordered } from "./timeline";

const rows = ordered(merge(NO_ROWS, [message(1, { user: ME }), message(2), message(3, { user: ME }), message(4, { user: ME, deleted: true })]));
const readers = (count: number, readSeq: number) =>
  Array.from({ length: count }, (_, i) => member({ id: `u${i}`, name: `U${i}` }, { readSeq }));

describe("receipt", () => {
  it("stands under my newest message that anybody has read", () => {
    expect(receipt(rows, [member(ME), member(BO, { readSeq: 2 })], "me")).toMatchObject({ clientId: "c1", names: ["Bo"] });
    expect(receipt(rows, [member(ME), member(BO, { readSeq: 9 })], "me")).toMatchObject({ clientId: "c3", names: ["Bo"] });
  });

  it("counts only those who have read that far", () => {
    const got = receipt(rows, [member(ME), member(BO, { readSeq: 3 }), member({ id: "cy", name: "Cy" }, { readSeq: 1 })], "me");
    expect(got).toEqual({ clientId: "c3", names: ["Bo"], count: 1 });
  });

  it("is nothing before anybody has read, and never counts me", () => {
    expect(receipt(rows, [member(ME, { readSeq: 9 }), member(BO)], "me")).toBeNull();
    expect(receipt([], [member(BO, { readSeq: 9 })], "me")).toBeNull();
  });

  it("names readers up to twenty members, and counts above", () => {
    const small = receipt(rows, [member(ME), ...readers(NAMES_UP_TO - 1, 9)], "me");
    expect(small?.names).toHaveLength(19);
    const large = receipt(rows, [member(ME), ...readers(NAMES_UP_TO, 9)], "me");
    expect(large).toMatchObject({ names: [], count: 20 });
  });
});

describe("receiptLine", () => {
  it.each([
    [["Bo"], 1, "Read by Bo"],
    [["Bo", "Cy"], 2, "Read by Bo and Cy"],
    [["Bo", "Cy", "Di"], 3, "Read by Bo, Cy and Di"],
    [[], 31, "Read by 31"],
  ] as [string[], number, string][])("%j of %d", (names, count, want) => {
    expect(receiptLine({ clientId: "c", names, count })).toBe(want);
  });
});
