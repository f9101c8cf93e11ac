import { expect, it } from "vitest";
import { GuardedKeep } from "./environment";

it.each([
  ["is blocked", () => { throw new Error("SecurityError"); }],
  ["is none", () => null],
  ["is full", () => ({ getItem: () => null, length: 0, setItem: () => { throw new Error("QuotaExceededError"); } }) as unknown as Storage],
] as [string, () => Storage | null][])("a storage that %s keeps text for as long as the page", (_, open) => {
  const keep = new GuardedKeep(open);
  keep.set("a", "text");
  expect([keep.get("a"), keep.keys()]).toEqual(["text", ["a"]]);
  keep.set("a", null);
  expect([keep.get("a"), keep.keys()]).toEqual([null, []]);
});
