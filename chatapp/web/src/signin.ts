import { ApiError, door } from "./api";
import type { Config, SignedIn } from "./model";
import { codePoints } from "./text/keys";

/** Whether a name that is not known becomes an account. */
export function mayCreate(config: Config, invite: string): boolean {
  return config.firstAccount || config.signup === "open" || (config.signup === "invite" && invite !== "");
}

const TAKEN = "Somebody has this name already, with another password.";

const codeOf = (problem: unknown): string => (problem instanceof ApiError ? problem.code : "");

/**
 * One form for both: a known name is signed in, an unknown one becomes an
 * account where that is allowed. The server does not tell an unknown name from
 * a wrong password, so sign-up is what finds out.
 */
export async function enter(config: Config, name: string, password: string, invite: string): Promise<SignedIn> {
  if (config.firstAccount || invite !== "") return signUpFirst(name, password, invite);
  try {
    return await door.signin(name, password);
  } catch (problem) {
    if (codeOf(problem) !== "wrong_password" || !mayCreate(config, invite)) throw problem;
    if (codePoints(password) < config.minPassword) {
      throw new ApiError(401, "wrong_password",
        `No account has this name and password. A new one needs a password of at least ${config.minPassword} characters.`);
    }
    return signUp(name, password, invite);
  }
}

async function signUp(name: string, password: string, invite: string): Promise<SignedIn> {
  try {
    return await door.signup(name, password, invite);
  } catch (problem) {
    throw codeOf(problem) === "name_taken" ? new ApiError(401, "wrong_password", TAKEN) : problem;
  }
}

async function signUpFirst(name: string, password: string, invite: string): Promise<SignedIn> {
  try {
    return await door.signup(name, password, invite);
  } catch (problem) {
    if (codeOf(problem) !== "name_taken") throw problem;
  }
  try {
    return await door.signin(name, password);
  } catch (problem) {
    throw codeOf(problem) === "wrong_password" ? new ApiError(401, "wrong_password", TAKEN) : problem;
  }
}
