import { afterEach, describe, expect, it, vi } from "vitest";
import type { Config } from "./model";
import { enter, mayCreate } from "./signin";

afterEach(() => void vi.unstubAllGlobals());

const config = { signup: "open", firstAccount: false, minPassword: 8 } as Config;
const signedIn = { me: { id: "a", name: "Ann", admin: false, channel: "private-user-a" }, general: "g" };

/** A server that answers each path with a code of failure, or "" for success. */
function server(codes: Record<string, string>): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (path: string) => {
    asked.push(path.replace("/api/", ""));
    const code = codes[path.replace("/api/", "")];
    return code === ""
      ? new Response(JSON.stringify(signedIn), { status: 200 })
      : new Response(JSON.stringify({ error: "A sentence.", code }), { status: 400 });
  });
  return asked;
}

describe("enter", () => {
  it.each([
    ["a known name signs in", { signin: "" }, {}, "", ["signin"]],
    ["an unknown name joins", { signin: "wrong_password", signup: "" }, {}, "", ["signin", "signup"]],
    ["the first account", { signup: "" }, { firstAccount: true }, "", ["signup"]],
    ["an invited one", { signup: "" }, { signup: "invite" }, "token", ["signup"]],
    ["an invite used by somebody with an account", { signup: "name_taken", signin: "" }, {}, "token", ["signup", "signin"]],
  ] as [string, Record<string, string>, Partial<Config>, string, string[]][])("%s", async (_, codes, part, invite, want) => {
    const asked = server(codes);
    await expect(enter({ ...config, ...part }, "Ann", "correct horse", invite)).resolves.toEqual(signedIn);
    expect(asked).toEqual(want);
  });

  it.each([
    ["a wrong password", { signin: "wrong_password", signup: "name_taken" }, {}, "correct horse", "wrong_password", 2],
    ["too short for a new account", { signin: "wrong_password" }, {}, "short", "wrong_password", 1],
    ["nobody may join", { signin: "wrong_password" }, { signup: "closed" }, "correct horse", "wrong_password", 1],
    ["too many attempts", { signin: "too_many_attempts" }, {}, "correct horse", "too_many_attempts", 1],
    ["a name that is not allowed", { signin: "wrong_password", signup: "bad_name" }, {}, "correct horse", "bad_name", 2],
  ] as [string, Record<string, string>, Partial<Config>, string, string, number][])("refuses: %s", async (_, codes, part, password, code, requests) => {
    const asked = server(codes);
    await expect(enter({ ...config, ...part }, "Ann", password, "")).rejects.toMatchObject({ code });
    expect(asked).toHaveLength(requests);
  });
});

it.each([["", { signin: "wrong_password", signup: "name_taken" }], ["token", { signup: "name_taken", signin: "wrong_password" }]] as
  [string, Record<string, string>][])("says that a name is taken to whom may join (invite %j)", async (invite, codes) => {
  server(codes);
  await expect(enter(config, "Ann", "correct horse", invite)).rejects.toMatchObject({ code: "wrong_password", message: expect.stringContaining("has this name already") });
});

describe("mayCreate", () => {
  it.each([
    [{ signup: "open" }, "", true], [{ signup: "invite" }, "", false], [{ signup: "invite" }, "token", true],
    [{ signup: "closed" }, "token", false], [{ signup: "closed", firstAccount: true }, "", true],
  ] as [Partial<Config>, string, boolean][])("%j with %j", (part, invite, want) => {
    expect(mayCreate({ ...config, ...part }, invite)).toBe(want);
  });
});
