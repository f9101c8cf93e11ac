import { sentence, type Api } from "../api";
import type { Me, Room } from "../model";
import { NEW_ROOM, reduceRoom, type RoomAction, type RoomState } from "../store/room";
import { NO_ROOMS, type Rooms } from "../store/rooms";
import { Store } from "../store/store";
import type { Environment } from "./environment";

/** What the page says of its connection. */
export type Connectivity =
  | "connecting" // no socket yet, or the open room's channel is not subscribed
  | "live" // the open room is pushed
  | "polling" // the server is asked every few seconds
  | "offline"; // and does not answer

/** Everything that the pages draw. Replaced as a whole with every change, never altered. */
export type ChatState = {
  readonly me: Me;
  readonly general: string;
  readonly rooms: Rooms;
  /** The room that is looked at. */
  readonly open: Room | null;
  readonly byRoom: ReadonlyMap<string, RoomState>;
  /** Who has the open room open, by user id. */
  readonly here: ReadonlySet<string>;
  /** Who has the chat open, by user id. */
  readonly online: ReadonlySet<string>;
  /** Who is typing in the open room, by user id. */
  readonly typing: readonly string[];
  /** Whether anybody has typed in the general room since this page is here. */
  readonly heardTyping: boolean;
  readonly link: Connectivity;
  /** Whether the open room is polled because the server refuses its channel. */
  readonly refused: boolean;
  /** Whether to say that there is no live connection. */
  readonly banner: boolean;
  /** A room that is no longer ours to see, or never was. */
  readonly lost: string | null;
  /** A sentence about something that did not work; shown until dismissed. */
  readonly notice: string;
};

export const NOBODY: ReadonlySet<string> = new Set();

/** What the pieces of the client share: the state, the server and the surroundings. */
export class Core {
  readonly store: Store<ChatState>;
  stopped = false;

  constructor(readonly api: Api, readonly env: Environment, me: Me, general: string) {
    this.store = new Store<ChatState>({
      me, general, rooms: NO_ROOMS, open: null, byRoom: new Map(), here: NOBODY, online: NOBODY, typing: [],
      heardTyping: false, link: "connecting", refused: false, banner: false, lost: null, notice: "",
    });
  }

  get me(): string {
    return this.store.get().me.id;
  }

  room(id: string): RoomState {
    return this.store.get().byRoom.get(id) ?? NEW_ROOM;
  }

  /** How many people a room has: as we see it, or as the list said, which may be long ago. */
  size(room: string): number {
    return Math.max(this.room(room).members.size, this.store.get().rooms.mine.get(room)?.memberCount ?? 0);
  }

  dispatch(room: string, action: RoomAction): void {
    const before = this.room(room);
    const after = reduceRoom(before, action);
    if (after !== before) this.store.patch({ byRoom: new Map(this.store.get().byRoom).set(room, after) });
  }

  forget(room: string): void {
    const byRoom = new Map(this.store.get().byRoom);
    if (byRoom.delete(room)) this.store.patch({ byRoom });
  }

  /** Changes the list, and the open room with it. */
  changeRooms(change: (rooms: Rooms) => Rooms): void {
    const { rooms, open } = this.store.get();
    const next = change(rooms);
    if (next === rooms) return;
    this.store.patch({ rooms: next, open: open && (next.mine.get(open.id) ?? open) });
  }

  notice(notice: string): void {
    this.store.patch({ notice });
  }

  /** Shows what went wrong; a session that has ended is the session's to handle. */
  failed(problem: unknown): void {
    if (!isOver(problem)) this.notice(sentence(problem));
  }
}

/** Whether a request failed because the session has ended, or is another user's. */
export function isOver(problem: unknown): boolean {
  const code = problem instanceof Error && "code" in problem ? problem.code : "";
  return code === "not_signed_in" || code === "other_user";
}
