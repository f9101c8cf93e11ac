import type { Keep } from "./environment";

/** A message of one's own that is being edited. */
export type Edit = { clientId: string; text: string };

/** A text that was sent and has not arrived. */
export type Unsent = {
  room: string;
  clientId: string;
  text: string;
  /** Microseconds, our own clock's. */
  createdAt: number;
  /** Why the server refused it; "" while it is to be sent. */
  problem: string;
};

const PREFIX = "chat.typed.";

function parse<T>(text: string | null, none: T): T {
  if (text === null) return none;
  try {
    return JSON.parse(text) as T;
  } catch {
    return none;
  }
}

/** What one user has typed in this browser and not sent, by room. It survives reloads and the end of a session. */
export class Drafts {
  private readonly prefix: string;

  constructor(private readonly keep: Keep, user: string) {
    this.prefix = `${PREFIX}${user}.`;
  }

  text(room: string): string {
    return this.keep.get(`${this.prefix}draft.${room}`) ?? "";
  }

  setText(room: string, text: string): void {
    this.keep.set(`${this.prefix}draft.${room}`, text === "" ? null : text);
  }

  edit(room: string): Edit | null {
    return parse<Edit | null>(this.keep.get(`${this.prefix}edit.${room}`), null);
  }

  setEdit(room: string, edit: Edit | null): void {
    this.keep.set(`${this.prefix}edit.${room}`, edit && JSON.stringify(edit));
  }

  unsent(): Unsent[] {
    return parse<Unsent[]>(this.keep.get(`${this.prefix}unsent`), []);
  }

  /** Adds one, or changes the one with its client id. Another tab's stay as they are. */
  putUnsent(unsent: Unsent): void {
    const all = this.unsent();
    const at = all.findIndex((each) => each.clientId === unsent.clientId);
    if (at < 0) all.push(unsent);
    else all[at] = unsent;
    this.setUnsent(all);
  }

  takeUnsent(clientId: string): void {
    this.setUnsent(this.unsent().filter((each) => each.clientId !== clientId));
  }

  /** Forgets everything: the user has signed out on purpose, and somebody else may sit here next. */
  clear(): void {
    for (const key of this.keep.keys()) if (key.startsWith(this.prefix)) this.keep.set(key, null);
  }

  private setUnsent(all: readonly Unsent[]): void {
    this.keep.set(`${this.prefix}unsent`, all.length === 0 ? null : JSON.stringify(all));
  }
}
