import { describe, expect, it } from "vitest";
import { NOT_LOOKED, reads, reduceReading, type Reading, type Sight } from "./reading";

const sight = (part: Partial<Sight> = {}): Sight =>
  ({ loaded: true, atEnd: true, visible: true, readSeq: 5, unread: 0, wrote: null, ...part });

/** Where the line is after each of these sights. */
const lines = (...sights: Partial<Sight>[]): (number | null)[] => {
  let reading: Reading = NOT_LOOKED;
  return sights.map((part) => (reading = reduceReading(reading, sight(part))).boundary);
};

describe("the new line", () => {
  it.each([
    ["nothing new, no line", [{}], [null]],
    ["not before the room is loaded", [{ loaded: false, unread: 0 }, { unread: 2 }], [null, 5]],
    ["on coming in it stands where I stopped, and stays while I read", [{ unread: 3 }, { readSeq: 8, unread: 0 }], [5, 5]],
    ["what comes while I look is not new", [{}, { unread: 1 }, { readSeq: 6 }], [null, null, null]],
    ["what comes while I look away is", [{}, { visible: false, unread: 1 }, { visible: false, unread: 2 }], [null, 5, 5]],
    ["also while I read further up", [{}, { atEnd: false, unread: 1 }], [null, 5]],
    ["it stays when I come back", [{}, { visible: false, unread: 1 }, { unread: 1 }, { readSeq: 6 }], [null, 5, 5, 5]],
    ["writing takes it away", [{ unread: 3 }, { readSeq: 8, wrote: "c" }, { readSeq: 8, wrote: "c" }], [5, null, null]],
    ["looking away from what is read takes it away", [{ unread: 3 }, { readSeq: 8 }, { readSeq: 8, visible: false }], [5, 5, null]],
    ["and the next one is a new one", [{ unread: 3 }, { readSeq: 8, visible: false }, { readSeq: 8, visible: false, unread: 1 }], [5, null, 8]],
  ] as [string, Partial<Sight>[], (number | null)[]][])("%s", (_, sights, want) => expect(lines(...sights)).toEqual(want));

  it("the same sight changes nothing", () => {
    const once = reduceReading(NOT_LOOKED, sight({ unread: 3 }));
    expect(reduceReading(once, sight({ unread: 3 }))).toBe(once);
  });
});

describe("reads", () => {
  it.each([
    [{}, true], [{ atEnd: false }, false], [{ visible: false }, false], [{ loaded: false }, false],
  ] as [Partial<Sight>, boolean][])("%j", (part, want) => expect(reads(sight(part))).toBe(want));
});
