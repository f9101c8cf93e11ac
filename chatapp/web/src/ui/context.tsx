import { createContext, use, useSyncExternalStore } from "react";
import type { Chat } from "../chat/chat";
import type { ChatState } from "../chat/state";
import type { Room } from "../model";
import { NEW_ROOM, type RoomState } from "../store/room";

/** The running chat, for every component below the sign-in. */
export const ChatContext = createContext<Chat | null>(null);

export function useChat(): Chat {
  const chat = use(ChatContext);
  if (!chat) throw new Error("useChat outside of a ChatContext");
  return chat;
}

/** A part of the state; the component draws again when that part changes. */
export function useChatState<T>(select: (state: ChatState) => T): T {
  const { store } = useChat();
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}

export function useRoomState(id: string): RoomState {
  return useChatState((state) => state.byRoom.get(id) ?? NEW_ROOM);
}

/** One's own role in a room, as it is now: the room itself says what it was when it was fetched. */
export function useRole(room: Room): Room["role"] {
  return useChatState(({ byRoom, me }) => {
    const mine = byRoom.get(room.id)?.members.get(me.id);
    return mine ? (mine.active ? mine.role : "") : room.role;
  });
}
