import { ApiError } from "../api";
import type { Room } from "../model";
import { backoff, pause } from "../realtime/backoff";
import type { RoomList } from "./roomlist";
import type { Core } from "./state";

/** Which room is open: goes into one, and out of one that is no longer ours. */
export class Opening {
  /** The room that the address names; it may still be on its way. */
  private wanted = "";
  /** Rooms that we leave by our own will: no news to us. */
  private readonly leaving = new Set<string>();

  /** entered: another room is open, or none. */
  constructor(private readonly core: Core, private readonly list: RoomList, private readonly entered: (room: Room | null) => void) {}

  async open(id: string): Promise<void> {
    this.wanted = id;
    if (this.core.store.get().open?.id === id) return;
    const known = this.core.store.get().rooms.mine.get(id);
    if (known) return this.enter(known);
    for (let attempt = 0; this.wanted === id && !this.core.stopped; attempt++) {
      try {
        const { room } = await this.core.api.room(id);
        if (this.wanted !== id || this.core.stopped) return;
        if (room.member) this.list.put(room);
        if (attempt > 0) this.core.notice(""); // what the failed attempts said is over
        return this.enter(room);
      } catch (problem) {
        this.core.failed(problem);
        if (!(problem instanceof ApiError) || !problem.temporary) return this.lost(id);
        await pause(backoff(attempt));
      }
    }
  }

  /** A room that we have joined or made, or whose newer state we have. */
  put(room: Room): Room {
    this.list.put(room);
    if (this.core.store.get().open?.id === room.id) this.enter(room);
    return room;
  }

  async leave(id: string): Promise<void> {
    this.leaving.add(id);
    try {
      await this.core.api.leave(id);
      this.list.remove(id);
    } finally {
      this.leaving.delete(id);
    }
  }

  /** A room is no longer ours to see: off to the general one, if we were in it. */
  lost(room: string): void {
    this.core.forget(room);
    const { open, lost } = this.core.store.get();
    if (this.wanted !== room || lost === room) return; // several answers may say so
    const sentence = open?.id === room ? `You are no longer a member of #${open.name}.` : "There is no such room, or you are not a member of it.";
    this.core.store.patch({ open: null, lost: room, notice: this.leaving.has(room) ? "" : sentence });
    this.entered(null);
  }

  /** A notice stays until its reader goes on to another room: not when the page opens one by itself. */
  private enter(room: Room): void {
    const before = this.core.store.get().open;
    const moved = before !== null && before.id !== room.id;
    this.core.store.patch({ open: room, lost: null, ...(moved ? { notice: "" } : {}) });
    this.entered(room);
  }
}
