import { expect, it } from "vitest";
import { otherAddress } from "./address";

it.each([
  ["http://127.0.0.1:8080", { href: "http://localhost:8080", second: true }],
  ["http://localhost:8080", { href: "http://127.0.0.1:8080", second: true }],
  ["http://localhost", { href: "http://127.0.0.1", second: true }],
  ["https://chat.example.com", { href: "https://chat.example.com", second: false }],
  ["http://192.168.1.7:8080", { href: "http://192.168.1.7:8080", second: false }],
])("at %s", (at, want) => expect(otherAddress(new URL(at))).toEqual(want));
