import { describe, expect, it } from "vitest";
import { pieces } from "./links";

const hrefs = (text: string) => pieces(text).flatMap((p) => p.href ?? []);

describe("pieces", () => {
  it.each([
    ["no address", "hello there", []],
    ["plain", "see https://example.com/a?b=c#d now", ["https://example.com/a?b=c#d"]],
    ["http with a port", "http://127.0.0.1:8080", ["http://127.0.0.1:8080/"]],
    ["end of a sentence", "It is https://example.com/a.", ["https://example.com/a"]],
    ["in brackets", "(https://example.com/a)", ["https://example.com/a"]],
    ["brackets of its own", "https://en.wikipedia.org/wiki/Go_(game)", ["https://en.wikipedia.org/wiki/Go_(game)"]],
    ["both kinds", "(https://en.wikipedia.org/wiki/Go_(game))", ["https://en.wikipedia.org/wiki/Go_(game)"]],
    ["thousands of brackets", `https://example.com/(a${")".repeat(3_900)}`, ["https://example.com/(a)"]],
    ["two", "https://a.example https://b.example", ["https://a.example/", "https://b.example/"]],
    ["upper case", "HTTPS://EXAMPLE.COM/A", ["https://example.com/A"]],
    ["a script", "javascript:alert(1) data:text/html,x vbscript:x", []],
    ["a script behind an address", "https://example.com/\"onmouseover=alert(1)", ["https://example.com/"]],
    ["markup", "<a href=https://example.com/><script>alert(1)</script>", ["https://example.com/"]],
    ["no host", "https:// http://", []],
    ["inside a word", "xhttps://example.com", []],
  ] as [string, string, string[]][])("%s", (_, text, want) => expect(hrefs(text)).toEqual(want));

  it.each([
    "", "https://a.example", "x https://a.example, y https://b.example/(c) z.", "<b>&amp;https://a.example\n</b>",
  ])("gives back every character of %j", (text) => expect(pieces(text).map((p) => p.text).join("")).toBe(text));
});
