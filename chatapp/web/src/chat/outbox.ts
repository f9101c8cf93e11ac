import { ApiError, sentence } from "../api";
import type { Message } from "../model";
import { backoff } from "../realtime/backoff";
import { draftRow, type Row } from "../store/timeline";
import type { Drafts } from "./drafts";
import { isOver, type Core } from "./state";

/** What is older than this (µs) is not sent by itself after a reload: the moment for it has passed. */
const STALE = 24 * 3600 * 1_000_000;
const STALE_PROBLEM = "You wrote this more than a day ago.";

/** The messages of one room that are to be sent, in the order they were written. */
type Line = { rows: Row[]; running: boolean; wake: () => void };

type Outcome = "done" | "later" | "over";

/**
 * Sends one's messages: one after the other in each room, and the same one
 * again until the server has spoken. The client id makes repeats harmless, so
 * what failed for a passing reason is simply sent again. What is not yet sent
 * is kept, and is there after a reload.
 */
export class Outbox {
  private readonly lines = new Map<string, Line>();

  constructor(
    private readonly core: Core,
    private readonly drafts: Drafts,
    /** The server has stored it. */
    private readonly sent: (room: string, message: Message) => void,
  ) {}

  /** Takes up what an earlier page has left behind. */
  restore(now = Date.now() * 1000): void {
    const { me } = this.core.store.get();
    for (const { room, clientId, text, createdAt, problem } of this.drafts.unsent()) {
      const row = draftRow(clientId, me, text, createdAt);
      const refusal = problem !== "" ? problem : now - createdAt > STALE ? STALE_PROBLEM : "";
      if (refusal === "") {
        void this.send(room, row);
      } else {
        this.core.dispatch(room, { type: "begin", row });
        this.core.dispatch(room, { type: "fail", clientId, problem: refusal, state: "failed" });
      }
    }
  }

  /** Sends a text, or one again that failed. The row is in the store when this returns; resolves after the first attempt. */
  send(room: string, row: Row): Promise<void> {
    this.core.dispatch(room, { type: "begin", row });
    this.drafts.putUnsent({ room, clientId: row.clientId, text: row.text, createdAt: row.createdAt, problem: "" });
    const line = this.line(room);
    if (!line.rows.some((each) => each.clientId === row.clientId)) line.rows.push(row);
    line.wake();
    return line.running ? Promise.resolve() : this.run(room, line);
  }

  /** Takes an unsent message away, at the writer's wish. */
  discard(room: string, clientId: string): void {
    const line = this.line(room);
    line.rows = line.rows.filter((row) => row.clientId !== clientId);
    this.drafts.takeUnsent(clientId);
    this.core.dispatch(room, { type: "discard", clientId });
    line.wake();
  }

  /** There is a connection again: what waits is tried at once. */
  wake(): void {
    for (const [room, line] of this.lines) {
      if (line.running) line.wake();
      else void this.run(room, line);
    }
  }

  private line(room: string): Line {
    let line = this.lines.get(room);
    if (!line) this.lines.set(room, line = { rows: [], running: false, wake: () => undefined });
    return line;
  }

  private run(room: string, line: Line): Promise<void> {
    return new Promise((tried) => void this.work(room, line, tried));
  }

  private async work(room: string, line: Line, tried: () => void): Promise<void> {
    line.running = true;
    let attempt = 0;
    for (let row = line.rows[0]; row && !this.core.stopped; row = line.rows[0]) {
      const outcome = await this.post(room, row);
      tried();
      if (outcome === "over") break;
      if (outcome === "done") {
        line.rows = line.rows.filter((each) => each !== row);
        attempt = 0;
      } else {
        // Those behind it wait, too: they keep their order.
        for (const each of line.rows) this.core.dispatch(room, { type: "fail", clientId: each.clientId, problem: "", state: "waiting" });
        await this.rest(line, backoff(attempt++));
      }
    }
    line.running = false;
    tried();
  }

  private rest(line: Line, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      line.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private async post(room: string, row: Row): Promise<Outcome> {
    const { clientId, text, createdAt } = row;
    if (this.core.room(room).rows.get(clientId)?.state === "sent") return this.delivered(clientId);
    this.core.dispatch(room, { type: "begin", row });
    try {
      const { message } = await this.core.api.sendMessage(room, clientId, text);
      this.core.dispatch(room, { type: "answer", message });
      this.sent(room, message);
      return this.delivered(clientId);
    } catch (problem) {
      if (isOver(problem)) return "over"; // it is kept for when they sign in again
      if (problem instanceof ApiError && problem.temporary) return "later";
      this.core.dispatch(room, { type: "fail", clientId, problem: sentence(problem), state: "failed" });
      if (this.line(room).rows.includes(row)) this.drafts.putUnsent({ room, clientId, text, createdAt, problem: sentence(problem) });
      return "done";
    }
  }

  private delivered(clientId: string): "done" {
    this.drafts.takeUnsent(clientId);
    return "done";
  }
}
