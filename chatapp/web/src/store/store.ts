/** A value that others can watch: what React's useSyncExternalStore wants. */
export class Store<S> {
  private readonly watchers = new Set<() => void>();

  constructor(private state: S) {}

  get = (): S => this.state;

  /** Replaces the state; an identical one tells nobody. */
  set(next: S): void {
    if (Object.is(next, this.state)) return;
    this.state = next;
    for (const watcher of [...this.watchers]) watcher();
  }

  patch(part: Partial<S>): void {
    this.set({ ...this.state, ...part });
  }

  subscribe = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => void this.watchers.delete(watcher);
  };
}
