import { ApiError } from "../api";
import type { Me } from "../model";
import { backoff, pause } from "../realtime/backoff";
import type { Core } from "./state";

/** expired: nobody is signed in here any more; other: somebody else is. */
export type End = "expired" | "other";

/** Knows whether the session still is, and still is ours: asked whenever there is a doubt. */
export class Session {
  private checking = false;
  private readonly stopListening: () => void;

  constructor(
    private readonly core: Core,
    /** It is good: the server says who we are. */
    private readonly confirmed: (me: Me) => void,
    private readonly ended: (end: End) => void,
  ) {
    this.stopListening = core.env.onAnnounced((user) => {
      if (user !== core.me) this.check();
    });
  }

  stop(): void {
    this.stopListening();
  }

  /** Asks the server; without an answer, asks again. */
  check(): void {
    if (this.checking || this.core.stopped) return;
    this.checking = true;
    void this.ask().finally(() => { this.checking = false; });
  }

  private async ask(): Promise<void> {
    for (let attempt = 0; !this.core.stopped; attempt++) {
      try {
        const { me } = await this.core.api.me();
        if (this.core.stopped) return;
        return me.id === this.core.me ? this.confirmed(me) : this.ended("other");
      } catch (problem) {
        if (this.core.stopped) return;
        if (problem instanceof ApiError && problem.status === 401) return this.ended("expired");
        if (problem instanceof ApiError && problem.code === "other_user") return this.ended("other");
        await pause(backoff(attempt));
      }
    }
  }
}
