import type { Member, Message } from "../model";
import type { Read } from "../store/members";
import type { RoomEvent } from "../store/room";

/** The events of a room's channel that carry a revision. */
export const ROOM_EVENTS = ["new-message", "message-edited", "message-deleted", "members-changed", "read", "catch-up"] as const;

export type RoomEventName = (typeof ROOM_EVENTS)[number];

type Payload = { rev: number; fetch?: boolean; channel?: string };

/** An event's data as the store wants it; null when it has no revision. */
export function toRoomEvent(name: RoomEventName, data: unknown): RoomEvent | null {
  const payload = data as Payload | null;
  if (typeof payload?.rev !== "number") return null;
  const { rev } = payload;
  // A channel's last event names the one that comes after it.
  const moved = payload.channel ? { channel: payload.channel } : {};
  if (payload.fetch) return { rev, fetch: true, ...moved };
  switch (name) {
    case "new-message":
    case "message-edited":
    case "message-deleted":
      return { rev, message: data as Message };
    case "members-changed":
      return { rev, members: (data as { members: Member[] }).members, ...moved };
    case "read":
      return { rev, reads: (data as { reads: Read[] }).reads };
    case "catch-up":
      return { rev, fetch: true };
  }
}
