import { vi } from "vitest";
import { ApiError, type Api } from "../api";
import { GuardedKeep, type Environment, type Watcher } from "../chat/environment";
import { Core } from "../chat/state";
import { ME } from "./fixtures";

/** A page that a test shows, hides and reloads. */
export class FakePage implements Environment {
  readonly hostname = "localhost";
  readonly announced: (string | null)[] = [];
  keep = new GuardedKeep();
  private looked = true;
  private watcher: Watcher | null = null;
  private heard: ((user: string | null) => void) | null = null;

  visible = (): boolean => this.looked;

  watch(watcher: Watcher): () => void {
    this.watcher = watcher;
    return () => { this.watcher = null; };
  }

  announce(user: string | null): void {
    this.announced.push(user);
  }

  onAnnounced(heard: (user: string | null) => void): () => void {
    this.heard = heard;
    return () => { this.heard = null; };
  }

  show(): void {
    this.looked = true;
    this.watcher?.seen();
  }

  hide(): void {
    this.looked = false;
    this.watcher?.hidden();
  }

  otherTab(user: string | null): void {
    this.heard?.(user);
  }
}

/** A server that answers as the test says; what is not said is a request that must not be made. */
export function fakeApi(answers: Partial<Api>): Api {
  return new Proxy(answers as Api, {
    get: (all, name) => (name in all ? Reflect.get(all, name) : vi.fn(async () => { throw new Error(`${String(name)} was asked`); })),
  });
}

export const world = (answers: Partial<Api>, page = new FakePage()): { core: Core; page: FakePage } =>
  ({ core: new Core(fakeApi(answers), page, { ...ME, admin: false, channel: "presence-user-me-1" }, "g"), page });

export const noAnswer = () => new ApiError(0, "no_answer", "The server cannot be reached.");
export const refusal = (status: number, code: string) => new ApiError(status, code, "No.");
