/** A place for text that survives a reload. Each call works, also where the browser has blocked storage. */
export type Keep = {
  get(key: string): string | null;
  /** null removes it. */
  set(key: string, value: string | null): void;
  keys(): string[];
};

export type Watcher = {
  /** Somebody looks at the page again. */
  seen(): void;
  hidden(): void;
  networkBack(): void;
  networkGone(): void;
};

/**
 * What the client takes from the place that it runs in: a browser's page
 * (browser.ts), or Node (bench/). Nothing else in src/chat, src/realtime and
 * src/store knows of a document or a window.
 */
export type Environment = {
  /** The page's host: the server's, where it names none. */
  hostname: string;
  visible(): boolean;
  /** Returns what stops watching. */
  watch(watcher: Watcher): () => void;
  keep: Keep;
  /** Tells this browser's other tabs who has signed in; null after signing out. */
  announce(user: string | null): void;
  /** Hears what other tabs announce; returns what stops it. */
  onAnnounced(heard: (user: string | null) => void): () => void;
};

/** Text in memory, over a storage that may refuse: what is typed survives at least for as long as the page. */
export class GuardedKeep implements Keep {
  private readonly memory = new Map<string, string>();

  /** Storage is null, or throws, where it is blocked or full. */
  constructor(private readonly open: () => Storage | null = () => null) {}

  get(key: string): string | null {
    return this.guard((storage) => storage.getItem(key)) ?? this.memory.get(key) ?? null;
  }

  set(key: string, value: string | null): void {
    if (value === null) this.memory.delete(key);
    else this.memory.set(key, value);
    this.guard((storage) => (value === null ? storage.removeItem(key) : storage.setItem(key, value)));
  }

  keys(): string[] {
    const stored = this.guard((storage) => Array.from({ length: storage.length }, (_, i) => storage.key(i) ?? "")) ?? [];
    return [...new Set([...stored, ...this.memory.keys()])];
  }

  private guard<T>(use: (storage: Storage) => T): T | null {
    try {
      const storage = this.open();
      return storage === null ? null : use(storage);
    } catch {
      return null;
    }
  }
}
