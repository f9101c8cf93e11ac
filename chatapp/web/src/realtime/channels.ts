import type { PresenceChannel } from "pusher-js";
import type { News, Online } from "../model";
import type { RoomEvent } from "../store/room";
import { ROOM_EVENTS, toRoomEvent } from "./events";

/** What a room's channel says. People are named by user id. */
export type RoomListener = {
  event(room: string, event: RoomEvent): void;
  typing(room: string, user: string): void;
  here(room: string, users: readonly string[]): void;
};

/** What one's own channel says, whichever room is open. */
export type OwnListener = {
  roomNews(news: News): void;
  roomAdded(room: string): void;
  roomRemoved(room: string): void;
  readPosition(room: string, readSeq: number): void;
  online(change: Online): void;
};

export function bindRoom(channel: PresenceChannel, room: string, listener: RoomListener): void {
  const here = () => listener.here(room, Object.keys(channel.members.members as Record<string, unknown>));
  channel.bind("pusher:subscription_succeeded", here);
  channel.bind("pusher:member_added", here);
  channel.bind("pusher:member_removed", here);
  const replaying = replays(channel);
  channel.bind("client-typing", (_: unknown, metadata?: { user_id?: string }) => {
    if (metadata?.user_id && !replaying()) listener.typing(room, metadata.user_id);
  });
  for (const name of ROOM_EVENTS) {
    channel.bind(name, (data: unknown) => {
      const event = toRoomEvent(name, data);
      if (event) listener.event(room, event);
    });
  }
}

/** Says whether the event at hand is one of those that the server replays after the page was away. */
function replays(channel: PresenceChannel): () => boolean {
  let left = 0;
  channel.bind_global((event: string, data: unknown) => {
    if (event === "pusher:resumed") left = (data as { replayed: number }).replayed + 1;
    else if (event === "pusher:subscription_succeeded") left = 0;
    else if (!event.startsWith("pusher:") && left > 0) left--;
  });
  return () => left > 0;
}

export function bindOwn(channel: PresenceChannel, listener: OwnListener): void {
  channel.bind("room-news", (news: News) => listener.roomNews(news));
  channel.bind("room-added", (p: { room: string }) => listener.roomAdded(p.room));
  channel.bind("room-removed", (p: { room: string }) => listener.roomRemoved(p.room));
  channel.bind("read-position", (p: { room: string; readSeq: number }) => listener.readPosition(p.room, p.readSeq));
  channel.bind("online", (change: Online) => listener.online(change));
}
