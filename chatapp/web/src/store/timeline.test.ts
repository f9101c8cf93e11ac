import { describe, expect, it } from "vitest";
import { message, ME } from "../testing/fixtures";
import { overlay } from "./overlay";
import { begin, discard, draftRow, fail, keepAfter, lastEditable, merge, NO_ROWS, newestSeq, ordered, type Rows } from "./timeline";

const draft = draftRow("mine", ME, "hello", 1);

/** All orders of some steps. */
function orders<T>(steps: readonly T[]): T[][] {
  if (steps.length <= 1) return [[...steps]];
  return steps.flatMap((step, i) => orders(steps.filter((_, j) => j !== i)).map((rest) => [step, ...rest]));
}

describe("a send, under every interleaving", () => {
  const sent = message(5, { clientId: "mine", user: ME, text: "hello" });
  const edited = { ...sent, rev: 9, text: "hello, all", editedAt: 2 };
  const steps: { name: string; apply: (rows: Rows) => Rows }[] = [
    { name: "answer", apply: (rows) => merge(rows, [sent]) },
    { name: "event", apply: (rows) => merge(rows, [sent]) },
    { name: "edited", apply: (rows) => merge(rows, [edited]) },
    { name: "changes", apply: (rows) => merge(rows, [message(3), edited]) },
    { name: "lost answer", apply: (rows) => fail(rows, "mine", "The server cannot be reached.") },
  ];
  for (const order of orders(steps)) {
    it(order.map((s) => s.name).join(", "), () => {
      const rows = order.reduce((have, step) => step.apply(have), begin(NO_ROWS, draft));
      expect(ordered(rows).map((r) => [r.clientId, r.state, r.text, r.rev])).toEqual([
        ["c3", "sent", "text 3", 3],
        ["mine", "sent", "hello, all", 9],
      ]);
    });
  }

  it("a retry of what was stored after all is one row", () => {
    const failed = fail(begin(NO_ROWS, draft), "mine", "no answer");
    const retried = begin(failed, draft);
    expect(retried.get("mine")).toMatchObject({ state: "pending", problem: "" });
    expect(ordered(merge(merge(retried, [sent]), [sent]))).toHaveLength(1);
  });

  it("a retry does not take back what is sent", () => {
    const rows = merge(NO_ROWS, [sent]);
    expect(begin(rows, draft)).toBe(rows);
  });
});

describe("merge", () => {
  it("keeps the greater rev, whatever the order", () => {
    const old = message(4, { rev: 4, text: "first" });
    const deleted = message(4, { rev: 7, text: "", deleted: true });
    for (const order of orders([old, deleted])) {
      const rows = order.reduce((have, m) => merge(have, [m]), NO_ROWS);
      expect(rows.get("c4")).toMatchObject({ rev: 7, deleted: true, text: "" });
    }
  });

  it("returns the same rows when nothing is new", () => {
    const rows = merge(NO_ROWS, [message(1), message(2)]);
    expect(merge(rows, [message(1), message(2)])).toBe(rows);
  });

  it("leaves out messages below what is loaded, but takes their changes when they are here", () => {
    const rows = merge(NO_ROWS, [message(50)]);
    expect(merge(rows, [message(10, { rev: 60 })], 40)).toBe(rows);
    expect(merge(rows, [message(50, { rev: 61, text: "new" })], 55).get("c50")?.text).toBe("new");
  });
});

describe("order", () => {
  it("sent by seq, then unsent as they were written, a retried one last", () => {
    let rows = begin(NO_ROWS, { ...draft, clientId: "a" });
    rows = begin(rows, { ...draft, clientId: "b" });
    rows = merge(rows, [message(7), message(2)]);
    rows = fail(rows, "a", "no");
    rows = begin(rows, { ...draft, clientId: "a" });
    expect(ordered(rows).map((r) => r.clientId)).toEqual(["c2", "c7", "b", "a"]);
    expect(newestSeq(ordered(rows))).toBe(7);
    expect(newestSeq([])).toBe(0);
  });

  it("discards neither what is being sent nor what is sent", () => {
    const rows = merge(begin(NO_ROWS, draft), [message(1)]);
    expect(discard(rows, "mine")).toBe(rows);
    expect(discard(rows, "c1")).toBe(rows);
    expect(discard(fail(rows, "mine", "no"), "mine").has("mine")).toBe(false);
  });

  it("a reload keeps what is unsent and what is newer", () => {
    const rows = merge(begin(NO_ROWS, draft), [message(1), message(9)]);
    expect([...keepAfter(rows, 5).keys()]).toEqual(["mine", "c9"]);
  });

  it("edits the last of one's own that is sent and not deleted", () => {
    const rows = ordered(merge(begin(NO_ROWS, draft), [
      message(1, { user: ME }), message(2, { user: ME }), message(3, { user: ME, deleted: true }), message(4),
    ]));
    expect(lastEditable(rows, ME.id)?.clientId).toBe("c2");
    expect(lastEditable(rows, "nobody")).toBeUndefined();
  });
});

describe("overlay", () => {
  it("a send shows at once and never beside the store's row", () => {
    const shown = overlay(NO_ROWS, { kind: "send", row: draft });
    expect(shown.get("mine")?.state).toBe("pending");
    const stored = merge(NO_ROWS, [message(5, { clientId: "mine" })]);
    expect(overlay(stored, { kind: "send", row: draft })).toBe(stored);
    const failed = fail(begin(NO_ROWS, draft), "mine", "no");
    expect(overlay(failed, { kind: "send", row: draft })).toBe(failed);
  });

  it("a deletion shows at once, and nothing over what is gone", () => {
    const rows = merge(NO_ROWS, [message(5, { text: "old" })]);
    const remove = { kind: "remove", clientId: "c5" } as const;
    expect(overlay(rows, remove).get("c5")).toMatchObject({ deleted: true, text: "" });
    const gone = merge(rows, [message(5, { rev: 8, text: "", deleted: true })]);
    expect(overlay(gone, remove)).toBe(gone);
    expect(overlay(NO_ROWS, remove)).toBe(NO_ROWS);
  });
});

describe("a row that waits", () => {
  it("keeps its place when it is sent again; one that was refused goes to the end", () => {
    const two = begin(begin(NO_ROWS, draft), { ...draft, clientId: "second" });
    const waiting = fail(two, "mine", "no answer", "waiting");
    expect(ordered(begin(waiting, draft)).map((row) => row.clientId)).toEqual(["mine", "second"]);
    const refused = fail(two, "mine", "no", "failed");
    expect(ordered(begin(refused, draft)).map((row) => row.clientId)).toEqual(["second", "mine"]);
  });

  it("can be taken away, unless it was sent after all", () => {
    const waiting = fail(begin(NO_ROWS, draft), "mine", "no answer", "waiting");
    expect(discard(waiting, "mine").size).toBe(0);
    const sent = merge(waiting, [message(5, { clientId: "mine" })]);
    expect(discard(sent, "mine")).toBe(sent);
  });
});
