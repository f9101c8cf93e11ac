/** How long (ms) somebody counts as typing after their last sign of it. */
export const TYPING_SHOWN = 5_000;
/** We say that we type at most this often (ms). */
export const TYPING_EVERY = 3_000;

/** Who is typing in a room: each sign of it lasts for five seconds. */
export class TypingWatch {
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();

  /** me is never shown, also not from another tab; changed gets the ids, oldest first. */
  constructor(private readonly me: string, private readonly changed: (ids: readonly string[]) => void) {}

  heard(userId: string): void {
    if (userId === this.me) return;
    const known = this.timers.has(userId);
    clearTimeout(this.timers.get(userId));
    this.timers.set(userId, setTimeout(() => this.stopped(userId), TYPING_SHOWN));
    if (!known) this.tell();
  }

  /** Their message is here, or they have left. */
  stopped(userId: string): void {
    const timer = this.timers.get(userId);
    if (timer === undefined) return;
    clearTimeout(timer);
    this.timers.delete(userId);
    this.tell();
  }

  clear(): void {
    if (this.timers.size === 0) return;
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    this.tell();
  }

  private tell(): void {
    this.changed([...this.timers.keys()]);
  }
}

/** Says that we type, at most once in three seconds. */
export class TypingSignal {
  private last = -Infinity;

  constructor(private readonly send: () => boolean) {}

  /** Call it with every keystroke. */
  keystroke(now = Date.now()): void {
    if (now - this.last < TYPING_EVERY) return;
    if (this.send()) this.last = now;
  }

  /** The message is out: the next keystroke begins another one. */
  reset(): void {
    this.last = -Infinity;
  }
}

/** The line under the timeline. */
export function typingLine(names: readonly string[]): string {
  const [first, second, ...rest] = names;
  if (first === undefined) return "";
  if (second === undefined) return `${first} is typing`;
  if (rest.length === 0) return `${first} and ${second} are typing`;
  return `${first}, ${second} and ${rest.length} more are typing`;
}
