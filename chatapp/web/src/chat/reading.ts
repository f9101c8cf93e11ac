import { ApiError } from "../api";
import { NAMES_UP_TO } from "../store/receipts";
import { putReadPosition } from "../store/rooms";
import type { Core } from "./state";

/** In a small room the readers' names are shown: they are told at once, and then at most this often (ms). */
const SMALL_ROOM = 1_000;
/** In a large room there is only a count: at most this often (ms), and up to half as much more, or on leaving. */
const LARGE_ROOM = 15_000;
/** A report that failed waits for so much longer (ms). */
const AFTER_FAILURE = 5_000;

type Report = {
  /** How far we have read, and how far the server knows. */
  seq: number;
  sent: number;
  /** When (ms) a report was sent last. */
  at: number;
  timer: ReturnType<typeof setTimeout> | undefined;
};

/** Reports to the server how far we have read: as rarely as nobody minds. */
export class Reading {
  /** The room whose newest message is in front of the reader's eyes; null for none. */
  attended: string | null = null;
  private readonly reports = new Map<string, Report>();

  constructor(private readonly core: Core) {}

  stop(): void {
    this.flush();
  }

  attend(room: string | null): void {
    if (this.attended !== null && this.attended !== room) this.flush(this.attended);
    this.attended = room;
  }

  /** I have seen everything up to seq. */
  read(room: string, seq: number): void {
    const known = this.core.store.get().rooms.mine.get(room);
    if (!known || (seq <= known.readSeq && known.unread === 0)) return;
    this.core.changeRooms((rooms) => putReadPosition(rooms, room, { readSeq: Math.max(seq, known.readSeq), unread: 0 }));
    const report = this.report(room);
    report.seq = Math.max(seq, report.seq);
    this.schedule(room, report);
  }

  /** I wrote this: the server knows that I have read everything before it. */
  wrote(room: string, seq: number): void {
    const report = this.report(room);
    report.seq = Math.max(seq, report.seq);
    report.sent = Math.max(seq, report.sent);
    this.core.changeRooms((rooms) => putReadPosition(rooms, room, { readSeq: seq, unread: 0 }));
  }

  /** Sends now what waits: of one room, or of all. The reader leaves. */
  flush(only?: string): void {
    for (const [room, report] of this.reports) {
      if (only !== undefined && room !== only) continue;
      clearTimeout(report.timer);
      if (report.seq > report.sent) void this.send(room, report);
      else report.timer = undefined;
    }
  }

  private report(room: string): Report {
    let report = this.reports.get(room);
    if (!report) this.reports.set(room, report = { seq: 0, sent: 0, at: -Infinity, timer: undefined });
    return report;
  }

  private schedule(room: string, report: Report): void {
    if (report.seq <= report.sent || report.timer !== undefined || this.core.stopped) return;
    const large = this.core.size(room) > NAMES_UP_TO;
    const wait = large ? LARGE_ROOM * (1 + Math.random() / 2) : Math.max(0, report.at + SMALL_ROOM - Date.now());
    report.timer = setTimeout(() => void this.send(room, report), wait);
  }

  private async send(room: string, report: Report): Promise<void> {
    const { seq, sent } = report;
    report.timer = undefined;
    report.sent = seq;
    report.at = Date.now();
    try {
      const position = await this.core.api.read(room, seq);
      this.core.changeRooms((rooms) => putReadPosition(rooms, room, position));
    } catch (problem) {
      if (!(problem instanceof ApiError) || !problem.temporary) return;
      report.sent = sent;
      report.at += AFTER_FAILURE;
    }
    this.schedule(room, report);
  }
}
